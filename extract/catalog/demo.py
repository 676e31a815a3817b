"""Draw the demo catalogue: seven kinds of product, in pictures that anyone may share.

These are drawings, not photographs: shaded shapes, posed and colored by a seeded generator. All
kinds share colors, patterns and backdrops, so these reveal nothing, and some kinds are alike on
purpose: watches and wall clocks show one dial, and jugs, mugs, teapots and vases are turned on one
lathe, most with a handle. A clustering of the demo is thus neither trivial nor hopeless.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from extract.catalog.drawing import (
    COLORS,
    Array,
    Drawing,
    Points,
    backdrop,
    between,
    contrasting,
    covered,
    oval,
    palette,
    ribbon,
    smooth,
)
from extract.errors import UsageError

Progress = Callable[[int, int], None]

JPEG_QUALITY = 90

FACES = palette("fbf9f3 f3ead7 e8eef0 27375e 2e3033 33604a edbfb7")
DRINKS, LEAVES = palette("5a3420 8d5a34 a8601f 7a8a3c"), palette("4f7a4a 6d8f55 8aa36b")
INK, RED, GOLD, STEEL, COPPER, IVORY = palette("26262b bf3a3a c9a24f b4b9c0 c98f7a f7f5f0")


def vessel(art: Drawing, top: float, base: float, radii: list[float], loops: Points) -> None:
    """Paint an open turned body by the radii of its parts, with handles of (side, reach)."""
    mouth, neck, belly, foot = radii
    for side, reach in loops:
        loop = [(neck - 0.05, 0.13), (neck + 0.7 * reach, 0.1), (belly + reach, 0.36)]
        loop += [(belly + 0.7 * reach, 0.68), (0.5 * (belly + foot) - 0.05, 0.8)]
        path = smooth([(side * x, top + y * (base - top)) for x, y in loop])
        art.flat(0.86 * art.trim, ribbon(path, 0.14), slope=0.3)
        art.flat(1.1 * art.trim, ribbon(path - 0.015, 0.04), slope=0.3)
    wall = [(mouth, 0.0), (neck, 0.16), (0.49 * (neck + belly), 0.38), (belly, 0.6)]
    wall += [(0.5 * (belly + foot) + 0.03, 0.83), (foot, 1)]
    art.lathe([(x, top + y * (base - top)) for x, y in wall])
    art.flat(np.minimum(1.12 * art.main + 0.04, 1), oval(0, top, mouth, mouth * art.squash))
    hole = art.mask(oval(0, top + 0.006, 0.91 * mouth, 0.88 * mouth * art.squash))
    art.paint(hole, art.main * (0.62 - 0.3 * art.light * art.u / mouth)[..., None])


def flowers(art: Drawing, rng: random.Random, count: int, y: float) -> None:
    """Paint some flowers that stand in a mouth at height y."""
    for _ in range(count):
        tip_x, tip_y = rng.uniform(-0.55, 0.55), y - rng.uniform(0.25, 0.6)
        bend = (0.4 * tip_x, (y + tip_y) / 2)
        stem = ribbon(smooth([(0, y + 0.1), bend, (tip_x, tip_y)]), 0.035)
        leaf = smooth([bend, (bend[0] + 0.12, bend[1] - 0.1), (tip_x + 0.1, tip_y + 0.06)])
        art.flat(rng.choice(LEAVES), stem, ribbon(leaf, 0.02, 0.09))
        petals = [oval(x, y, 0.09, 0.09) for x, y in oval(tip_x, tip_y, 0.11, 0.11, 6)]
        art.flat(rng.choice(COLORS), *petals)
        art.flat(GOLD, oval(tip_x, tip_y, 0.06, 0.06))


def mug(rng: random.Random) -> Drawing:
    """Draw a mug: a short body with one looped handle, often full."""
    art = Drawing(rng, tilt=9, stands=True)
    top, foot, half, bulge, reach = between(
        rng, (0.46, 0.68), (0.36, 0.64), (0.5, 0.78), (-0.03, 0.08), (0.15, 0.45)
    )
    middle = (top + foot) / 2 + bulge
    vessel(art, -half, half, [top, 0.8 * top + 0.2 * middle, middle, foot], [(1, reach)])
    if rng.random() < 0.6:
        surface = oval(0, 0.02 + 0.05 * art.squash - half, 0.84 * top, 0.72 * top * art.squash)
        art.flat(rng.choice(DRINKS), surface)
    return art


def jug(rng: random.Random) -> Drawing:
    """Draw a jug: a body with a handle and a pouring lip, at times with flowers."""
    art = Drawing(rng, tilt=8, stands=True)
    radii = between(rng, (0.3, 0.54), (0.24, 0.5), (0.42, 0.64), (0.3, 0.5))
    blooms = rng.choice((0, 0, 0, 0, 2, 4))
    top, reach, lip = between(rng, (-0.45 if blooms else -0.85, -0.35), (0.15, 0.45), (0.06, 0.2))
    flowers(art, rng, blooms, top)
    tip = (-radii[0] - lip, top - 0.07)
    art.flat(0.9 * art.main, [(0, top), tip, (-0.9 * radii[0], top + 0.22), (0, top + 0.2)])
    vessel(art, top, 0.8, radii, [(1, reach)])
    return art


def teapot(rng: random.Random) -> Drawing:
    """Draw a teapot: a round or tall body with a lid, a spout and a handle."""
    art = Drawing(rng, tilt=7, stands=True)
    high, neck, foot, wide = between(rng, (0.4, 0.8), (0.28, 0.42), (0.3, 0.5), (0.56, 0.74))
    wide -= 0.25 * max(high - 0.5, 0)
    hoop = rng.random() < 0.3
    if hoop:
        half = [(0.72 * wide, -0.35 * high), (0.75 * wide, -high - 0.35)]
        path = smooth([*((-x, y) for x, y in half), (0, -high - 0.62), *half[::-1]])
        art.flat(0.9 * art.trim, ribbon(path, 0.12), slope=0.3)
    x, y = -wide - rng.uniform(0.22, 0.42), -rng.uniform(0.75, 1.05) * high
    spout = [(-0.7 * wide, 0.35 * high), (0.4 * x - 0.6 * wide, 0.05)]
    spout += [(0.6 * x - 0.4 * wide, -0.4 * high), (x, y)]
    art.flat(0.92 * art.main, ribbon(smooth(spout), 0.34, 0.12), slope=0.3)
    art.flat(0.5 * art.main, oval(x, y, 0.06, 0.025))
    loops = [] if hoop else [(1.0, rng.uniform(0.25, 0.4))]
    vessel(art, -high, high, [neck, 0.5 * neck + 0.5 * wide, wide, foot], loops)
    art.lathe([(0.05, -0.2 - high), (0.6 * neck, -0.13 - high), (0.98 * neck, -high)], art.trim)
    art.lathe([(0.03, -0.34 - high), (0.09, -0.27 - high), (0.05, -0.18 - high)], art.trim)
    return art


def vase(rng: random.Random) -> Drawing:
    """Draw a vase: a body with an open neck, at times with flowers, one ear or two."""
    art = Drawing(rng, tilt=6, stands=True)
    radii = between(rng, (0.2, 0.54), (0.14, 0.5), (0.36, 0.66), (0.2, 0.5))
    blooms = rng.choice((0, 0, 0, 2, 3, 5))
    top, reach = between(rng, (-0.45 if blooms else -0.85, -0.2), (0.05, 0.2))
    flowers(art, rng, blooms, top)
    sides = rng.choice(((), (), (), (1,), (1, -1)))
    vessel(art, top, 0.9, radii, [(side, reach) for side in sides])
    return art


def dial(art: Drawing, rng: random.Random, radius: float) -> None:
    """Paint a round face about the origin: hours, three hands at any time, and glass."""
    face, accent = rng.choice(FACES), rng.choice((RED, GOLD))
    ink = rng.choice((INK, COLORS[11], COLORS[21])) if face.sum() > 1.6 else IVORY
    art.flat(face, oval(0, 0, radius, radius), slope=0.1 / radius)
    style = rng.choice(("numerals", "numerals", "ticks", "quarters", "dots"))
    spots = oval(0, 0, 0.78 * radius, 0.78 * radius, 12)[:: 3 if style == "quarters" else 1]
    if style == "numerals":
        art.paint(art.mask(hours=spots, height=0.24 * radius), ink)
    elif style == "dots":
        art.flat(ink, *(oval(x, y, 0.05 * radius, 0.05 * radius) for x, y in spots))
    else:
        ticks = [[(0.9 * x, 0.9 * y), (1.15 * x, 1.15 * y)] for x, y in spots]
        art.flat(ink, *(ribbon(tick, 0.06 * radius) for tick in ticks))
    for reach, width, color in ((0.5, 0.1, ink), (0.76, 0.065, ink), (0.82, 0.02, accent)):
        turn = rng.uniform(0, math.tau)
        x, y = reach * radius * math.cos(turn), reach * radius * math.sin(turn)
        hand = ribbon([(-0.2 * x, -0.2 * y), (x, y)], width * radius)
        art.paint(0.25 * art.mask(hand + 0.03 * radius), INK)
        art.flat(color, hand)
    art.flat(accent, oval(0, 0, 0.06 * radius, 0.06 * radius))
    glare = np.array([(-0.1, -0.8), (0.45, -0.68), (-0.27, 0.72), (-0.56, 0.54)]) * radius
    art.paint(0.1 * art.mask(glare * (art.light, 1)), np.ones(3))


def bezel(art: Drawing, color: Array, frame: Array, width: float) -> None:
    """Paint a rounded frame: bright toward the light outside, away from it inside."""
    for inset, gain, slope in ((0, 0.95, 0.5), (width / 2, 1.08, 0.2), (width, 0.8, -0.5)):
        art.flat(gain * color, (1 - inset) * frame, slope=slope)


def wall_clock(rng: random.Random) -> Drawing:
    """Draw a wall clock: a large dial in a frame, at times with rays or a pendulum."""
    art, radius = Drawing(rng, tilt=12, stands=False), rng.uniform(0.7, 0.95)
    extra = rng.choice(("none", "none", "pendulum", "rays"))
    if extra == "pendulum":
        x, y = rng.uniform(-0.12, 0.12), radius + 0.35
        art.flat(GOLD, ribbon([(0, 0), (x, y)], 0.05), oval(x, y, 0.15, 0.15))
    elif extra == "rays":
        rays = oval(0, 0, 1.25 * radius, 1.25 * radius, 16)
        art.flat(art.other, *(ribbon([(0, 0), tip], 0.05, 0.09) for tip in rays))
        radius *= 0.8
    sides, power, room = rng.choice(((72, 2, 0.78), (72, 2, 0.78), (72, 6, 0.78), (6, 2, 0.64)))
    frame = oval(0, 0, radius, radius, sides, power)
    color = rng.choice((art.main, art.main, GOLD, STEEL))
    bezel(art, color, frame, rng.uniform(0.12, 0.24))
    dial(art, rng, room * radius)
    return art


def watch(rng: random.Random) -> Drawing:
    """Draw a watch, near or far: a dial in a metal case on a strap."""
    art = Drawing(rng, rng.choice((8, 40)), stands=False, zoom=rng.choice((1, 1.3, 1.8)))
    radius, width, reach = between(rng, (0.42, 0.6), (0.5, 0.66), (1.1, 1.5))
    straps = [ribbon([(0, 0), (0, end)], width, 0.72 * width) for end in (-reach, reach)]
    tips = [oval(0, end, 0.36 * width, 0.12) for end in (-reach, reach)]
    mask = art.flat(art.main, *straps, *tips)
    style = rng.choice(("leather", "links", "woven"))
    if style == "woven":
        art.paint(mask * art.figure(1.5 * art.u, 1.5 * art.v), art.other)
    elif style == "links":
        rows, columns = np.abs(art.v % 0.16 - 0.08), np.abs(np.abs(art.u) - 0.1)
        art.color *= (0.55 + 0.45 * covered(np.minimum(rows, columns) - 0.01))[..., None]
    else:
        holes = np.arange(radius + 0.25, reach, 0.16)
        art.flat(0.35 * art.main, *(oval(0, y, 0.025, 0.035) for y in holes))
    art.color *= np.exp(-1.6 * (art.u / width) ** 2 - 0.4 * (art.v / reach) ** 2)[..., None]
    case = oval(0, 0, radius, radius, power=rng.choice((2, 2, 5)))
    metal = rng.choice((GOLD, STEEL, STEEL, INK, COPPER))
    art.paint(0.3 * mask * art.mask(case + 0.05), INK)
    lug = radius + 0.06
    lugs = [ribbon([(x, -lug), (x, lug)], 0.09) for x in (-0.42 * width, 0.42 * width)]
    art.flat(0.85 * metal, ribbon([(0, 0), (radius + 0.1, 0)], 0.13), *lugs, slope=0.3)
    bezel(art, metal, case, 0.2)
    dial(art, rng, 0.8 * radius)
    return art


def t_shirt(rng: random.Random) -> Drawing:
    """Draw a T-shirt laid flat: plain, patterned or with a print on the chest."""
    art = Drawing(rng, tilt=22, stands=False)
    waist, hem, arm, collar = between(rng, (0.48, 0.6), (0.7, 0.92), (-0.06, 0.12), (0.2, 0.28))
    deep = rng.choice((0.12, 0.18, 0.34)) - 0.74
    edge = [(collar, -0.74), (0.7 * collar, 0.75 * deep - 0.185), (0.0, deep)]
    neck = smooth([*edge, *((-x, y) for x, y in edge[1::-1])])
    side = [(-0.52, -0.62), (-0.54, -0.2), (-waist, hem), (0, hem + 0.04)]
    side += [(-x, y) for x, y in side[2::-1]]
    cuff = [(0.9 + arm / 3, arm - 0.2), (0.64 + arm / 3, arm - 0.03)]
    sleeve = np.array([(0.45, -0.68), (0.66, -0.58), *cuff, (0.48, -0.18)])
    art.flat(0.6 * art.main, neck, oval(0, -0.73, collar, 0.06))
    for gain, outlines in ((0.9, [sleeve, sleeve * (-1, 1)]), (1.0, [np.vstack([neck, side])])):
        mask = art.flat(gain * art.main, *outlines)
        art.paint(mask * art.figure(art.u, art.v), gain * art.other)
    phase = rng.uniform(0, 6)
    folds = np.sin(5 * art.u + 2 * art.v + phase) * np.sin(3.1 * art.v - 2 * art.u + phase)
    art.color *= (1 + 0.09 * folds - 0.1 * np.abs(art.u))[..., None]
    hems = [ribbon(np.array(cuff) * (s, 1), 0.06) for s in (-1, 1)]
    art.flat(0.8 * art.trim, *hems, ribbon(neck, 0.05), ribbon(side[2:5], 0.03))
    if rng.random() < 0.5:
        badge = oval(0, -0.1, 0.24, 0.24, rng.choice((3, 4, 6, 72)), rng.choice((0.9, 2)))
        art.flat(contrasting(rng, COLORS, art.main, 0.5), badge)
    return art


KINDS: dict[str, Callable[[random.Random], Drawing]] = {
    "Jugs": jug,
    "Mugs": mug,
    "T-shirts": t_shirt,
    "Teapots": teapot,
    "Vases": vase,
    "Wall clocks": wall_clock,
    "Watches": watch,
}


def draw_picture(kind: str, rng: random.Random) -> Image.Image:
    """Draw one picture of a kind: RGB, 320 x 320 pixels; `KeyError` for an unknown kind."""
    art = KINDS[kind](rng)
    return art.on(backdrop(rng, art.color[art.alpha > 0.9].mean(0)))


def draw_demo(
    folder: Path, *, per_kind: int = 30, seed: int = 0, progress: Progress | None = None
) -> int:
    """Draw `per_kind` pictures of each kind into a new folder; return how many were drawn.

    Each kind has a subfolder. A picture depends on the seed, its kind and its number alone. The
    folder appears complete or not at all. Raises `UsageError` if it exists and is not an empty
    folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder: name a new one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    jobs = [(kind, number) for kind in KINDS for number in range(1, per_kind + 1)]
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=folder.parent) as scratch:
        draft = Path(scratch) / "demo"
        for done, (kind, number) in enumerate(jobs, 1):
            picture = draw_picture(kind, random.Random(f"{seed}/{kind}/{number}"))
            path = draft / kind / f"{kind.lower().replace(' ', '-')}-{number:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, quality=JPEG_QUALITY)
            if progress:
                progress(done, len(jobs))
        if folder.exists():
            folder.rmdir()  # elsewhere than on POSIX, a rename does not replace a folder
        draft.rename(folder)
    return len(jobs)
