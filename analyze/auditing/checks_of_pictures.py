"""Checks of single pictures: blank, blurred, dark, overexposed, tiny, odd in aspect, seen in part.

Limits stand between what photographs of a marketplace have and what the same, spoiled, have:
``python -m tests.benchmarks audit``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analyze.auditing.findings import Evidence, Reason, Scored
from analyze.auditing.measurements import Measurements
from analyze.auditing.outliers import MODIFIED_Z
from analyze.pictures.picture_quality import BLANK, LONGEST, blankness

BLURRED = 1.35
"""Pixels, at 384 of the longer side: photographs have 0.8 to 1.2, and 1.5 and more when blurred by
a Gaussian of 0.4 % of the longer side."""

MOST_BLURRED = 2.0
"""A catalogue of soft pictures raises the limit, no farther than this."""

DARK = 0.55
"""1 less the brightest of 100 pixels, of white: photographs have up to 0.2."""

OVEREXPOSED = 0.8
"""By signs of lost light: two of 525 photographs have as much, and nine of ten of those exposed 3
to 6 times as long; dark products before white are merely lighter then, and are not found."""

ENOUGH_PIXELS = 100
"""Of the longer side, where it is not known how many the model takes."""

ODD_ASPECT = 3.0
HALF = 0.5


def find_blank(measured: Measurements) -> Scored:
    """Find pictures of one color."""
    plain = measured.quality("plain")
    scores = blankness(plain, measured.quality("brightest"))

    def reason(row: int) -> Reason:
        return Reason.of("levels_range", levels=float(plain[row]))

    return _scored(scores, BLANK, "what saving and noise leave of one color", reason)


def find_blurred(measured: Measurements) -> Scored:
    """Find pictures without a sharp edge; the limit is higher where most pictures are soft."""
    widths = measured.quality("edge_width")
    limit, why = BLURRED, "between sharp photographs and the same blurred"
    if not np.isnan(widths).all():
        middle = float(np.nanmedian(widths))
        spread = float(np.nanmedian(np.abs(widths - middle)))
        usual = middle + MODIFIED_Z * spread / 0.6745
        if usual > limit:
            limit = min(usual, MOST_BLURRED)
            why = f"outliers of this catalogue, with edges of {middle:.2f} pixels in the median"

    def reason(row: int) -> Reason:
        return Reason.of("edges_wide", width=float(widths[row]), side=LONGEST)

    return _scored(np.where(_is_blank(measured), np.nan, widths), limit, why, reason)


def find_dark(measured: Measurements) -> Scored:
    """Find pictures without a light pixel."""
    brightest = measured.quality("brightest")
    scores = np.where(_is_blank(measured), np.nan, 1 - brightest / 255)

    def reason(row: int) -> Reason:
        return Reason.of("levels_below", level=float(brightest[row]))

    return _scored(scores, DARK, "a black product lies before light, or has highlights", reason)


def find_overexposed(measured: Measurements) -> Scored:
    """Find pictures that have lost light parts of the product to white, or all its dark ones."""
    lost = measured.quality("overexposed")
    scores = np.where(_is_blank(measured), np.nan, lost)

    def reason(row: int) -> Reason:
        return Reason.of("light_lost", score=float(lost[row]))

    return _scored(scores, OVEREXPOSED, "white grounds are not counted", reason)


def find_tiny(measured: Measurements) -> Scored:
    """Find pictures with fewer pixels than half of what the model takes."""
    width, height = measured.quality("width"), measured.quality("height")
    identity = measured.embeddings.provenance.size
    enough = int(identity) / 2 if identity.isdigit() else ENOUGH_PIXELS
    scores = enough / np.fmax(width, height)

    def reason(row: int) -> Reason:
        return Reason.of("size", width=int(width[row]), height=int(height[row]))

    why = f"the longer side has fewer than {enough:.0f} pixels, half of what the model takes"
    return _scored(scores, 1.0, why, reason, above=True)


def find_odd_aspects(measured: Measurements) -> Scored:
    """Find pictures that are much longer than wide."""
    width, height = measured.quality("width"), measured.quality("height")
    scores = np.fmax(width, height) / np.fmin(width, height)

    def reason(row: int) -> Reason:
        return Reason.of("size", width=int(width[row]), height=int(height[row]))

    return _scored(scores, ODD_ASPECT, "three times as long as wide", reason)


def find_seen_in_part(measured: Measurements) -> Scored:
    """Find pictures of which the model sees less than half."""
    seen = measured.quality("seen")

    def reason(row: int) -> Reason:
        return Reason.of("seen", percent=100 * float(seen[row]))

    return _scored(1 - seen, HALF, "more than half is cut off", reason, above=True)


def _is_blank(measured: Measurements) -> np.ndarray:
    blank = find_blank(measured)
    found = np.zeros(len(measured.embeddings), bool)
    found[blank.rows[: len(blank)]] = True
    return found


def _scored(
    scores: np.ndarray,
    threshold: float,
    why: str,
    reason: Callable[[int], Reason],
    *,
    above: bool = False,
) -> Scored:
    """Score every picture; with ``above`` what equals the threshold is not found."""
    if above:
        threshold = float(np.nextafter(threshold, np.inf))
    rows = np.arange(len(scores))
    return Scored.sorted(rows, scores, threshold, why, lambda row: Evidence((), reason(row)))
