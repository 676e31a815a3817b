"""Shaded shapes on a canvas: what the demo catalogue is drawn with.

Lengths are in units of the product: x right, y down, the product about -1 to 1. Colors are RGB,
each channel 0 to 1.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Array = npt.NDArray[np.floating[Any]]
Point = tuple[float, float]
Points = Sequence[Point] | Array
Box = tuple[slice, ...]

SIZE = 320
OVERSAMPLE = 3


def palette(codes: str) -> list[Array]:
    """The colors of some six-digit hexadecimal codes."""
    return [np.array([*bytes.fromhex(code)], np.float32) / 255 for code in codes.split()]


COLORS = palette(
    "f3ead7 f7f5f0 d9bf94 e0a83a c8643c ee8273 bf3a3a 7b2d3f edbfb7 6a4c7d b9a5d6 27375e 4a72a8 "
    "8fc1de 2c7f82 a5d3bd 8ca586 33604a 7e7d3c 3b3d43 9a9ea3 6b4a3a"
)
BACKDROPS = palette(
    "f4efe6 e9e1d3 dfe7ea d5e3dc f2dcd3 e6dcec d7dfee f6e7c4 c9d6cf b8c7d3 cbb9a6 a8b5a0 5d6b78 "
    "47524d 7b6f83 d99f85"
)


def contrasting(rng: random.Random, colors: list[Array], color: Array, gap: float) -> Array:
    """One of the colors that lie at least `gap` from `color` (distance in RGB, up to 1.7)."""
    return rng.choice([c for c in colors if np.linalg.norm(c - color) >= gap])


def between(rng: random.Random, *ranges: Point) -> list[float]:
    """One number from each range."""
    return [rng.uniform(low, high) for low, high in ranges]


def covered(inside: Array) -> Array:
    """How much of a pixel is covered, 0 to 1, that lies so far inside an edge."""
    return np.asarray(np.clip(0.5 + 110 * inside, 0, 1))


def figure(rng: random.Random, coarse: float = 1.0) -> Callable[[Array, Array], Array]:
    """A pattern: how much of a second color shows, 0 to 1, at points (a, b) of a surface."""
    step, level, skew = rng.uniform(0.14, 0.32) * coarse, rng.uniform(-0.2, 0.4), rng.random()
    style = rng.choice(("plain", "plain", "along", "across", "zigzag", "checks", "dots", "dip"))

    def wave(a: Array) -> Array:
        return np.asarray(np.abs(a % step - step / 2))

    def shown(a: Array, b: Array) -> Array:
        if style == "dip":
            return covered((b - level + 0.03 * np.sin(7 * a)) * (1 if skew < 0.6 else 0.01))
        if style == "dots":
            return covered(0.27 * step - np.hypot(wave(a + step / 2 * (b // step % 2)), wave(b)))
        if style == "checks":
            return (covered(wave(a) - step / 4) + covered(wave(b) - step / 4)) / 2
        stripes = {"along": a + skew * b, "across": b + 0.4 * skew * a, "zigzag": b + wave(a)}
        return covered(wave(stripes[style]) - step / 4) if style in stripes else 0 * a

    return shown


def smooth(knots: Points) -> Array:
    """A Catmull-Rom curve through some knots, in twelve steps from each to the next."""
    p = np.asarray(knots, np.float32)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.arange(12)[:, None] / 12
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    bend = t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (1.5 * (b - c) + (d - a) / 2)
    return np.vstack([(b + t * (c - a) / 2 + bend).reshape(-1, 2), p[-2]])


def ribbon(path: Points, width: float, end: float | None = None) -> Array:
    """The outline of a stroke along a path, from `width` wide at its start to `end` at its end."""
    p = np.asarray(path, np.float32)
    ahead = np.gradient(p, axis=0)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / np.linalg.norm(ahead, axis=1)[:, None]
    half = across * np.linspace(width, width if end is None else end, len(p))[:, None] / 2
    return np.vstack([p + half, (p - half)[::-1]])


def oval(x: float, y: float, rx: float, ry: float, sides: int = 72, power: float = 2) -> Array:
    """An ellipse about (x, y), clockwise from twelve; a `power` above 2 squares it off."""
    turn = np.arange(sides) * 2 * np.pi / sides
    unit = np.stack([np.sin(turn), -np.cos(turn)], 1)
    return np.asarray((x, y) + np.sign(unit) * np.abs(unit) ** (2 / power) * (rx, ry))


def box_around(mask: Array) -> Box:
    """The rows and columns between which a mask is not zero: most parts are small."""
    shown = mask != 0
    there = [np.flatnonzero(shown.any(axis)) for axis in (1, 0)]
    return tuple(slice(each[0], each[-1] + 1) if each.size else slice(0) for each in there)


class Drawing:
    """A product on a clear layer, with the pose, the light and the finish drawn for it."""

    def __init__(self, rng: random.Random, tilt: float, stands: bool, zoom: float = 1.0) -> None:
        """Start a product turned by up to `tilt` degrees, that stands or else hangs or lies."""
        self.main = rng.choice(COLORS)
        self.other = contrasting(rng, COLORS, self.main, 0.5)
        self.trim = rng.choice((self.main, self.main, self.other))
        self.figure, self.gloss = figure(rng), rng.choice((0.12, 0.35, 0.6))
        self.stands, self.sun = stands, rng.choice((-1, 1))
        self.squash = rng.uniform(0.08, 0.34)  # height to width of a level circle
        flip = rng.choice((-1, 1)) if stands else 1  # a dial mirrored would run backward
        self.light, self.unit = self.sun * flip, SIZE * zoom * rng.uniform(0.27, 0.4)
        turn, lean = math.radians(rng.uniform(-tilt, tilt)), rng.uniform(-0.08, 0.08)
        x, y, recede_x, recede_y = between(rng, *[(0.43, 0.57)] * 2, *[(-0.1, 0.1)] * 2)
        c, s = self.unit * math.cos(turn), self.unit * math.sin(turn)
        moved = [[c * flip, lean * self.unit - s, x * SIZE], [s * flip, c, y * SIZE], [0, 0, 1]]
        self.pose = np.array(moved) @ np.array([[1, 0, 0], [0, 1, 0], [recede_x, recede_y, 1]])
        row, column = np.mgrid[0.5:SIZE, 0.5:SIZE]
        pixels = np.stack([column, row, np.ones_like(row)])
        u, v, w = np.tensordot(np.linalg.inv(self.pose), pixels, 1)
        self.u, self.v = (u / w).astype(np.float32), (v / w).astype(np.float32)
        self.toward = 0.6 * self.light * self.u - 0.8 * self.v
        # A plane for each channel: along a row of pixels NumPy is faster than along three channels.
        self.color: Array = np.moveaxis(np.zeros((3, SIZE, SIZE), np.float32), 0, 2)
        self.alpha: Array = np.zeros((SIZE, SIZE), np.float32)

    def _pixels(self, points: Points) -> list[Point]:
        x, y, w = self.pose @ np.vstack([np.transpose(points), np.ones(len(points))])
        return list(zip(OVERSAMPLE * x / w, OVERSAMPLE * y / w, strict=True))

    def mask(self, *outlines: Points, hours: Points = (), height: float = 0.0) -> Array:
        """The cover, 0 to 1, of outlines, and of upright numerals about twelve points, 12 first."""
        image = Image.new("L", (SIZE * OVERSAMPLE, SIZE * OVERSAMPLE))
        draw = ImageDraw.Draw(image)
        for outline in outlines:
            draw.polygon(self._pixels(outline), fill=255)
        for hour, spot in enumerate(self._pixels(hours) if len(hours) else ()):
            font = ImageFont.load_default(height * self.unit * OVERSAMPLE)
            draw.text(spot, str(hour or 12), fill=255, font=font, anchor="mm")
        mask = np.zeros((SIZE, SIZE), np.float32)
        if drawn := image.getbbox():
            x, y = (edge // OVERSAMPLE for edge in drawn[:2])
            right, bottom = (-(-edge // OVERSAMPLE) for edge in drawn[2:])
            fine = (OVERSAMPLE * x, OVERSAMPLE * y, OVERSAMPLE * right, OVERSAMPLE * bottom)
            mask[y:bottom, x:right] = np.asarray(image.reduce(OVERSAMPLE, fine))
        return mask / 255

    def paint(self, mask: Array, color: Array, slope: float = 0.0) -> None:
        """Lay a color, or one per pixel, under a mask, brighter toward the light by `slope`."""
        box = box_around(mask)
        self._lay(mask, box, np.broadcast_to(color, self.color.shape)[box], slope)

    def _lay(self, mask: Array, box: Box, color: Array, slope: float = 0.0) -> None:
        """Paint with the colors of a box alone."""
        cover, gain = mask[box], 1 + slope * self.toward[box]
        for channel in range(3):
            there = self.color[..., channel][box]
            there += cover * (np.clip(color[..., channel] * gain, 0, 1) - there)
        self.alpha[box] += cover * (1 - self.alpha[box])

    def flat(self, color: Array, *outlines: Points, slope: float = 0.12) -> Array:
        """Paint flat outlines, brighter toward the light by `slope` per unit; their mask."""
        mask = self.mask(*outlines)
        self.paint(mask, color, slope)
        return mask

    def lathe(self, knots: Points, color: Array | None = None) -> None:
        """Paint a body turned about x = 0 through knots (radius, y), top down."""
        r, y = smooth(knots).T
        turn = np.linspace(0, np.pi, 32)[1:-1]
        x, sag = np.cos(turn), self.squash * np.sin(turn)
        bottom, top = (-r[-1] * x, y[-1] + r[-1] * sag), (r[0] * x, y[0] - r[0] * sag)
        mask = self.mask(np.hstack([(-r, y), bottom, (r[::-1], y[::-1]), top]).T)
        box = box_around(mask)
        u, v = self.u[box], self.v[box]
        height = v
        for _ in range(2):  # the surface seen at a pixel lies higher than its outline does
            radius = np.interp(height, y, r).astype(np.float32)
            across = np.clip(u / radius, -1, 1)
            facing = np.sqrt(1 - across**2)
            height = v - self.squash * radius * facing
        lit = self.light * across
        gain = 0.52 + 0.56 * np.clip(0.5 * lit + 0.87 * facing, 0, 1)
        gain += 0.12 * np.clip(-lit - 0.75, 0, 1)
        shine = self.gloss * np.exp(-(((lit - 0.52) / 0.1) ** 2))
        shown = self.figure(0.6 * np.arcsin(across), height)
        main, other = (each[:, None, None] for each in (self.main, self.other))
        surface = main + shown * (other - main) if color is None else color[:, None, None]
        self._lay(mask, box, np.moveaxis(shine + (1 - shine) * surface * gain, 0, 2))

    def on(self, ground: Array) -> Image.Image:
        """The finished picture: the product and its soft shadow on a ground."""
        alpha = Image.fromarray((255 * self.alpha).astype(np.uint8))

        def cast(depth: float, blur: float, *where: float) -> Array:
            moved = alpha.transform(alpha.size, Image.Transform.AFFINE, where)
            return depth / 255 * np.asarray(moved.filter(ImageFilter.GaussianBlur(blur)))

        if self.stands:  # its outline squashed onto the table: once leaning, once right beneath
            base, lean = float(np.nonzero(self.alpha.max(1) > 0.5)[0][-1]) - 4, 1.6 * self.sun
            far = cast(0.3, 7, 1, -lean, lean * base, 0, 3.2, -2.2 * base)
            dark = np.maximum(far, cast(0.5, 5, 1, 0, 0, 0, 7, -6 * base - 8))
        else:
            dark = cast(0.42, 8, 1, 0, 9 * self.sun, 0, 1, -11)
        picture = ground * ((1 - dark) * (1 - self.alpha))[..., None] + self.color
        return Image.fromarray((255 * np.clip(picture, 0, 1) + 0.5).astype(np.uint8))


def backdrop(rng: random.Random, product: Array) -> Array:
    """A plain, graded or patterned ground, or a table and wall, that sets a product color off."""
    color = contrasting(rng, BACKDROPS, product, 0.4)
    other = contrasting(rng, BACKDROPS, color, 0.15)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
    turn = rng.uniform(-math.pi, math.pi)
    a, b = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    color, other = color[:, None, None], other[:, None, None]
    style, amount = rng.choice(("plain", "graded", "pattern", "table", "table")), 0 * x
    if style == "graded":
        amount = np.clip(0.5 + 0.45 * a, 0, 1)
    elif style == "pattern":
        amount = 0.45 * figure(rng, 1.3)(a, b)
    elif style == "table":
        below = y - rng.uniform(0.1, 0.5) - rng.uniform(-0.06, 0.06) * x
        amount = covered(below)
        boards = rng.choice((0, 0.03)) * np.sin(42 * y + 2.2 * np.sin(1.7 * x + turn))
        other = other * (1 + boards - 0.1 * below)
        color = color * (1 - 0.12 * np.exp(9 * np.minimum(below, 0)))
    ground: Array = color + amount * (other - color)
    lamp_x, lamp_y = between(rng, (-0.5, 0.5), (-0.6, 0.2))
    ground *= 1.06 - 0.13 * ((x - lamp_x) ** 2 + (y - lamp_y) ** 2)
    grain = np.random.default_rng(rng.getrandbits(32)).standard_normal((SIZE, SIZE), np.float32)
    return np.moveaxis(ground + rng.choice((0, 0.006, 0.014)) * grain, 0, 2)
