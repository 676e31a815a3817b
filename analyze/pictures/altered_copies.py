"""Altered copies: the same picture mirrored, with its borders cut off, in a frame, or with a mark.

Once the alteration is undone, fingerprints are compared as :mod:`analyze.pictures.duplicates` does,
so what remains may differ no more than copies do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from analyze.pictures.duplicates import (
    MOST_COLORED,
    MOST_LIGHTER,
    Fingerprint,
    Relation,
    compared,
)
from analyze.pictures.image_differences import SIDE

MOST_MOVES = 6
"""By which a place is refined, of each length."""

FRAMED = "framed"
COARSE = 32
"""Cells a side on which one picture is looked for inside the other."""

SMALLEST_PART = 19
"""Of those cells: a picture with a fifth cut off at each border, or framed as widely."""

MOST_STRETCHED = 6
"""Cells by which the sides of such a part may differ: more is another aspect."""

LEAST_CORRELATION = 0.9
"""Between a picture and its place in the other, before they are compared closely."""

PLAIN = 6.0
"""Levels of 255 that a plain surface varies by, and a plain frame."""

MOST_MARKED = 0.25
"""Share of the cells that a mark may change: texts across photographs change 1 to 10 %, another
color of the product mostly half and more."""

LEAST_STROKES = 0.33
"""Of what a mark changes, in root mean square, what varies within a few cells: texts have 0.36 and
more, products in another lightness up to 0.37."""

STROKES = 9
"""Cells over which that is averaged."""

LEAST_CHANGED = 6.0
"""Levels from which on a cell counts as changed by a mark: saving changes fewer."""

MOST_OPAQUE = 0.85
"""Of a mark, at all but 5 % of its cells: what hides more is a print, and makes a variant."""

LEAST_WIDE = 0.4
"""Of the picture's width that a mark goes across, unless it lies at a border."""

AT_BORDER = 0.2


@dataclass(frozen=True)
class Alteration:
    """How one picture was made from the other.

    Parameters
    ----------
    how : str
        ``mirrored``, ``cut``, ``framed``, ``marked``.
    apart : float
        What differs once that is undone, in shares of the limits of copies: 0 to 1.
    first : bool or None
        Whether the first of the two was altered; None where it cannot be seen.
    """

    how: str
    apart: float
    first: bool | None = None


def altered(one: Fingerprint, other: Fingerprint) -> Alteration | None:
    """Return how one of two pictures, which are no plain copies, was made from the other.

    Parameters
    ----------
    one, other : Fingerprint
        In any order: the answer is the same.

    Returns
    -------
    Alteration or None
        None where neither was, as far as can be seen.
    """
    mirrored = Fingerprint(np.ascontiguousarray(other.small[:, :, ::-1]))
    seen = compared(one, mirrored)
    if seen.relation is Relation.COPY:
        return Alteration("mirrored", seen.apart or 0.0)
    parts = [part for part in (_part(one, other), _part(other, one)) if part is not None]
    if parts:
        how, apart, altered_one = min(parts, key=lambda part: part[1])
        return Alteration(how, apart, first=altered_one is one)
    return _marked(one, other)


def _part(whole: Fingerprint, part: Fingerprint) -> tuple[str, float, Fingerprint] | None:
    """Look for a picture inside another one, smaller by up to a third.

    Returns how one was altered, what differs, and which: what has a plain frame, or what was cut.
    """
    place = _place_inside(_coarse(whole), _coarse(part))
    if place is None:
        return None
    top, left, height, width = _refined(whole.small[0], part.small[0], place)
    region = _resized(whole.small, (SIDE, SIDE), (left, top, left + width, top + height))
    as_coarse = _resized(_resized(part.small, (width, height)), (SIDE, SIDE))
    seen = compared(Fingerprint(region), Fingerprint(as_coarse))
    if seen.relation is not Relation.COPY:
        return None
    outside = np.ones((SIDE, SIDE), bool)
    outside[max(0, top - 1) : top + height + 1, max(0, left - 1) : left + width + 1] = False
    framed = outside.any() and float(whole.small[:, outside].std(axis=1).max()) <= PLAIN
    return (FRAMED, seen.apart or 0.0, whole) if framed else ("cut", seen.apart or 0.0, part)


def _coarse(known: Fingerprint) -> np.ndarray:
    step = SIDE // COARSE
    luma = known.small[0].reshape(COARSE, step, COARSE, step)
    means: np.ndarray = luma.mean(axis=(1, 3), dtype=np.float32)
    return means


def _place_inside(whole: np.ndarray, part: np.ndarray) -> tuple[int, int, int, int] | None:
    """Find top, left, height and width where a picture correlates best with part of another."""
    best, place = LEAST_CORRELATION, None
    image = Image.fromarray(part)
    for height, width in _sides():
        template = np.asarray(image.resize((width, height), Image.Resampling.BOX)).ravel()
        template = template - template.mean()
        length = float(np.linalg.norm(template))
        if length < PLAIN * np.sqrt(template.size):
            return None
        windows = np.lib.stride_tricks.sliding_window_view(whole, (height, width))
        flat = windows.reshape(-1, template.size)
        spread = flat.std(axis=1) * np.sqrt(template.size)
        products = (flat @ template) / np.maximum(spread * length, 1e-6)
        at = int(products.argmax())
        if products[at] > best:
            best = float(products[at])
            place = (*divmod(at, windows.shape[1]), height, width)
    return place


Box = tuple[int, int, int, int]


def _refined(whole: np.ndarray, part: np.ndarray, place: Box) -> Box:
    """Move the sides of a place, found on coarse cells, to where the pictures correlate best.

    Returns top, left, height and width in cells.
    """
    image = Image.fromarray(part)

    def fit(box: Box) -> float:
        top, left, height, width = box
        if min(top, left) < 0 or top + height > SIDE or left + width > SIDE:
            return -1.0
        template = np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32)
        region = whole[top : top + height, left : left + width].astype(np.float32)
        a, b = template - template.mean(), region - region.mean()
        return float((a * b).sum() / max(1e-6, float(np.linalg.norm(a) * np.linalg.norm(b))))

    step = SIDE // COARSE
    best: Box = (step * place[0], step * place[1], step * place[2], step * place[3])
    score = fit(best)
    for move in (3, 2, 1):
        for _ in range(MOST_MOVES):
            tried = {box: fit(box) for box in _moved(best, move)}
            better = max(tried, key=lambda box: tried[box])
            if tried[better] <= score:
                break
            best, score = better, tried[better]
    return best


def _moved(box: Box, by: int) -> Iterator[Box]:
    """Move one side of a box, or all of it along an axis."""
    top, left, height, width = box
    for d in (-by, by):
        yield top + d, left, height - d, width
        yield top, left, height + d, width
        yield top, left + d, height, width - d
        yield top, left, height, width + d
        yield top - d, left - d, height + 2 * d, width + 2 * d


def _sides() -> Iterator[tuple[int, int]]:
    for height in range(SMALLEST_PART, COARSE + 1):
        for width in range(SMALLEST_PART, COARSE + 1):
            if abs(height - width) <= MOST_STRETCHED and height + width < 2 * COARSE:
                yield height, width


def _resized(
    planes: np.ndarray, size: tuple[int, int], box: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Resize planes of a picture, or a part of it, to a width and height; uint8."""
    return np.stack(
        [
            np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC, box=box))
            for plane in planes
        ]
    )


def _marked(one: Fingerprint, other: Fingerprint) -> Alteration | None:
    """Return whether a half transparent text or logo lies over one of the two.

    Where it does, all colors are drawn towards one ink, and what is below shows through; where one
    print stands in place of another, some are drawn the other way.
    """
    apart = other.planes - one.planes
    size = np.abs(apart).max(axis=0)
    changed = size >= LEAST_CHANGED
    if not 0 < changed.mean() <= MOST_MARKED or not _lies_as_marks_do(changed):
        return None
    rest = size[~_grown(changed)]
    if rest.size and float(np.quantile(rest, 0.99)) > min(MOST_LIGHTER, MOST_COLORED):
        return None
    if not _is_of_strokes(apart, changed):
        return None
    # of the clean picture to the marked one the ink explains what changed with less of it
    opacities = _opacity(one.planes, apart, changed), _opacity(other.planes, -apart, changed)
    if min(opacities) > MOST_OPAQUE:
        return None
    return Alteration("marked", min(1.0, *opacities), first=opacities[1] < opacities[0])


def _fine(luma: np.ndarray) -> np.ndarray:
    """Take what varies within a few cells."""
    from scipy.ndimage import uniform_filter

    fine: np.ndarray = luma - uniform_filter(luma, STROKES)
    return fine


def _is_of_strokes(apart: np.ndarray, changed: np.ndarray) -> bool:
    """Say whether a difference is in the luma, and as uneven as letters are."""
    luma = apart[0]
    fine = _fine(luma)[changed]
    whole = float((luma[changed] ** 2).mean())
    colored = float((apart[1:, changed] ** 2).sum(axis=0).mean())
    return colored <= whole and float((fine**2).mean()) >= LEAST_STROKES**2 * whole


def _lies_as_marks_do(changed: np.ndarray) -> bool:
    """Say whether what is changed goes across the picture, or lies at a border of it."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if columns[-1] - columns[0] >= LEAST_WIDE * SIDE:
        return True
    near = AT_BORDER * SIDE
    ends = (rows[-1], columns[-1])
    starts = (rows[0], columns[0])
    return any(end < near for end in ends) or any(start >= SIDE - near for start in starts)


def _grown(changed: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    grown: np.ndarray = binary_dilation(changed, iterations=2)
    return grown


def _opacity(clean: np.ndarray, apart: np.ndarray, changed: np.ndarray) -> float:
    """Give how opaque a mark over a clean picture would be; infinite where there is no such mark.

    Of inks from black to white the one is taken towards which the luma is drawn most evenly.
    """
    below, drawn = clean[0][changed], apart[0][changed]
    best = np.inf
    for ink in (0.0, 64.0, 128.0, 192.0, 255.0):
        room = ink - below
        strong = np.abs(drawn) >= LEAST_CHANGED
        share = drawn / np.where(np.abs(room) < 1, 1.0, room)
        if strong.any() and float((share[strong] < 0).mean()) <= 0.02:
            best = min(best, float(np.quantile(share[strong], 0.95)))
    return best
