"""What can be explained: a number that a picture's vector gives, by a way that can be derived.

A target has columns (classes, clusters, or other pictures) and gives a value for each. Maps ask it
for one column of each picture; methods that cover places need nothing else of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyze.ties import first_of_greatest
from extract.errors import UsageError, one_of
from extract.ids import shown

if TYPE_CHECKING:
    import torch

    Values = Callable[[torch.Tensor], torch.Tensor]

TARGETS = ("head", "pretrained", "cluster", "neighbor")
OF = ("logit", "probability")
MOST_LISTED = 12


@dataclass(frozen=True, eq=False)
class Target:
    """Values of vectors that are explained.

    Parameters
    ----------
    name : str
        Of :data:`TARGETS`.
    of : str
        ``logit``, ``probability`` or ``similarity``: what the values are.
    columns : tuple of str
        What each value is evidence for, in words for people.
    classes : tuple of (str or None)
        The class of each column, where it has one.
    values : callable
        Vectors (n, n_dims), float64 on the CPU -> values (n, n_columns) in torch.
    answer : callable
        Vectors as they are stored (n, n_dims) -> the column that is the answer for each.
    probabilities : callable, optional
        Vectors as they are stored -> ndarray (n, n_columns), where there are any.
    numbers : tuple of int, optional
        What the columns are numbered by; from 0 without.
    thresholds : tuple of float, optional
        The probability from which on each column is predicted, where any number of them may be.
    predictions : callable, optional
        Vectors as they are stored -> ndarray (n, n_columns), bool; with ``thresholds``.
    """

    name: str
    of: str
    columns: tuple[str, ...]
    classes: tuple[str | None, ...]
    values: Values
    answer: Callable[[np.ndarray], np.ndarray]
    probabilities: Callable[[np.ndarray], np.ndarray] | None = None
    numbers: tuple[int, ...] | None = None
    thresholds: tuple[float, ...] | None = None
    predictions: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.classes):
            raise ValueError("every column must have a class, or None")

    def column_of(self, wanted: str) -> int:
        """Find a column by its class, its words, its number, or one of several names it goes by.

        Raises
        ------
        UsageError
            Listing those that are nearest, or that all go by the name.
        """
        numbers = self.numbers or range(len(self.columns))
        names = [tuple(filter(None, pair)) for pair in zip(self.classes, self.columns, strict=True)]
        plain = _plain(wanted)
        ways = (
            names,
            [(str(number),) for number in numbers],
            [tuple(map(_plain, own)) for own in names],
            [tuple(_plain(part) for name in own for part in name.split(",")) for own in names],
        )
        for way in ways:
            found = [i for i, own in enumerate(way) if wanted in own or plain in own]
            if len(found) == 1:
                return found[0]
            if found:
                listed = ", ".join(f"{numbers[i]} {shown(names[i][0])}" for i in found)
                raise UsageError(f"--class {wanted!r} may be {listed}: give the number")
        known = [own[0] for own in names]
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5) or known[:MOST_LISTED]
        more = " and others" if len(near) < len(known) else ""
        raise UsageError(
            f"no class {wanted!r} to explain: there are {', '.join(map(shown, near))}{more}; name "
            "one with --class"
        )


def _plain(name: str) -> str:
    return name.strip().replace("_", " ").casefold()


def check_of(name: str, of: str | None) -> str:
    """Settle what is explained of a target: what was typed, or what it has.

    Raises
    ------
    UsageError
    """
    if one_of(name, TARGETS, "--target") in ("cluster", "neighbor"):
        if of is not None:
            raise UsageError(f"--target {name} explains a similarity: leave --of out")
        return "similarity"
    if of not in (None, *OF):
        raise UsageError(f"no --of {of!r}: choose {' or '.join(OF)}")
    return of or "logit"


def towards(directions: np.ndarray) -> Values:
    """Make the cosine similarities to some vectors; of shape (n_columns, n_dims), not zero."""
    import torch

    ends = torch.nn.functional.normalize(torch.from_numpy(directions.astype(np.float64)), dim=1)

    def values(vectors: torch.Tensor) -> torch.Tensor:
        return unit(vectors) @ ends.T

    return values


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Scale to length 1; a vector of zeros stays what it is."""
    import torch

    return torch.nn.functional.normalize(vectors, dim=1, eps=1e-300)


def in_numpy(values: Values, vectors: np.ndarray) -> np.ndarray:
    """Ask for values without a gradient; ndarray of shape (n, n_columns), float64."""
    import torch

    with torch.no_grad():
        found: np.ndarray = values(torch.from_numpy(vectors.astype(np.float64))).numpy()
    return found


def neighbor_target(ids: Sequence[str], vectors: np.ndarray) -> Target:
    """Ask how similar pictures are to some others.

    Parameters
    ----------
    ids : sequence of str
        Of the others.
    vectors : ndarray of shape (n_others, n_dims), float32
        Theirs; none is zero.
    """
    values = towards(vectors)

    def answer(vectors: np.ndarray) -> np.ndarray:
        return first_of_greatest(in_numpy(values, vectors))

    none = (None,) * len(ids)
    return Target("neighbor", "similarity", tuple(ids), none, values, answer)
