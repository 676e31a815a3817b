"""One map laid over another of the same rows."""

from __future__ import annotations

import numpy as np


def laid_over(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Move, turn, mirror and scale a map so that its rows lie nearest to those of another.

    Orthogonal Procrustes (Schoenemann 1966; scipy.linalg.orthogonal_procrustes), so that shapes
    and relative distances stay as they are.

    Parameters
    ----------
    points, reference : ndarray of shape (n, 2)
        Row i of both is about one picture.

    Returns
    -------
    ndarray of shape (n, 2), float64
        The points themselves, centered, where they or the reference do not spread.

    Examples
    --------
    >>> import numpy as np
    >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    >>> turned = 3 * square @ np.array([[0, 1], [-1, 0]]) + 5
    >>> bool(np.allclose(laid_over(turned, square), square))
    True
    """
    from scipy.linalg import orthogonal_procrustes

    middle = reference.mean(axis=0)
    own, other = points - points.mean(axis=0), (reference - middle).astype(np.float64)
    size = float((own.astype(np.float64) ** 2).sum())
    if size == 0 or not other.any():
        return np.asarray(own + middle, np.float64)
    turn, scale = orthogonal_procrustes(own.astype(np.float64), other)
    laid: np.ndarray = own @ turn * (scale / size) + middle
    return laid
