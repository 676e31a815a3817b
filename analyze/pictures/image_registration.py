"""Registration: a small picture laid over another, shifted and stretched along its sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STAGES = ((2.0, 5), (0.75, 3))
"""Blur in cells, and steps at most: a fit is found from no farther than the first blur reaches."""

MOST_IN_A_STEP = 0.03
"""Of the side."""

STILL = 1e-4
"""Of the side: a step that moves no cell so far is the last."""


@dataclass(frozen=True)
class Placement:
    """Where one picture lies on another of as many cells a side.

    Parameters
    ----------
    stretch : tuple of float
        Along rows and along columns: a cell of the other shows what lies so much farther from the
        middle, in shares of the distance.
    shift : tuple of float
        And so much farther down and right, in shares of the side.
    """

    stretch: tuple[float, float] = (0.0, 0.0)
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def most_moved(self) -> float:
        """How far the corner that is moved most is moved, in shares of the side."""
        return max(
            abs(shift) + abs(stretch) / 2
            for stretch, shift in zip(self.stretch, self.shift, strict=True)
        )

    def places(self, side: int, axis: int) -> np.ndarray:
        """Say which places of the picture the cells show along an axis; ndarray of (side,)."""
        middle = (side - 1) / 2
        places: np.ndarray = (1 + self.stretch[axis]) * (np.arange(side) - middle)
        return places + self.shift[axis] * side + middle

    def lay(self, plane: np.ndarray) -> np.ndarray:
        """Sample a plane of shape (side, side) where it lies, by cubic splines."""
        from scipy.ndimage import affine_transform

        side = len(plane)
        first = [self.places(side, axis)[0] for axis in (0, 1)]
        laid: np.ndarray = affine_transform(
            plane, 1 + np.array(self.stretch), first, order=3, mode="nearest"
        )
        return laid

    def covers(self, side: int, edge: float = 0.0) -> np.ndarray:
        """Return the cells that show what is this far inside of the picture; (side, side), bool."""
        inside = [
            (places >= edge) & (places <= side - 1 - edge)
            for places in (self.places(side, axis) for axis in (0, 1))
        ]
        return np.outer(*inside)


def register(fixed: np.ndarray, moving: np.ndarray, most_moved: float = 1.0) -> Placement:
    """Find where one picture lies on another, by least squares (Lucas and Kanade 1981).

    A gain and an offset of the lightness are fitted too, so that they move nothing.

    Parameters
    ----------
    fixed, moving : ndarray of shape (side, side)
        Lightness in levels.
    most_moved : float
        Of the side: what lies farther is not placed any better.
    """
    from scipy.ndimage import gaussian_filter

    found = np.zeros(4)
    for blur, steps in STAGES:
        one, other = gaussian_filter(fixed, blur), gaussian_filter(moving, blur)
        for _ in range(steps):
            at = _placement(found)
            if at.most_moved > most_moved:
                return at
            step = _step(one, other, at, edge=2 * blur)
            found = found + step
            if np.abs(step).max() < STILL:
                break
    return _placement(found)


def _placement(numbers: np.ndarray) -> Placement:
    down, right, taller, wider = numbers.tolist()
    return Placement((taller, wider), (down, right))


def _step(fixed: np.ndarray, moving: np.ndarray, at: Placement, edge: float) -> np.ndarray:
    """Give the Gauss-Newton step: shift down and right, stretch down and right."""
    side = len(fixed)
    laid, shown = at.lay(moving), at.covers(side, edge) & Placement().covers(side, edge)
    down, right = (side * slope for slope in np.gradient(laid))
    away = (np.arange(side) - (side - 1) / 2) / side
    parts = (down, right, down * away[:, None], right * away, laid, np.ones_like(laid))
    slopes = np.stack(parts)[:, shown]
    # not by BLAS, with threads that cost more than such a small product
    squares = np.einsum("ik,jk->ij", slopes, slopes)
    # of a plain picture all slopes are 0: then nothing moves
    squares[np.diag_indices(6)] += 1e-6 * (np.diagonal(squares) + 1)
    solved = np.linalg.solve(squares, np.einsum("ik,k->i", slopes, fixed[shown]))
    gain = solved[4] if abs(solved[4]) > 0.2 else 1.0
    step: np.ndarray = np.clip(solved[:4] / gain, -MOST_IN_A_STEP, MOST_IN_A_STEP)
    return step
