"""Multi-label columns: any number of labels a picture, listed as in ``red|striped``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

SEPARATOR = "|"


@dataclass(frozen=True, eq=False)
class MultiLabel:
    """A column that lists any number of labels a row; a row that lists none is unlabelled.

    Parameters
    ----------
    name : str
    categories : tuple of str
        Sorted, all different; none holds the separator.
    offsets : ndarray of shape (n_images + 1,), int64
        Row i has ``codes[offsets[i]:offsets[i + 1]]``.
    codes : ndarray of int32
        Places in ``categories``; those of a row ascend, none twice.
    separator : str
        What stands between the labels of a row where they are spelled as one text.
    """

    name: str
    categories: tuple[str, ...]
    offsets: np.ndarray
    codes: np.ndarray
    separator: str = SEPARATOR

    def __post_init__(self) -> None:
        offsets, codes = self.offsets, self.codes
        if not (
            len(offsets)
            and offsets[0] == 0
            and offsets[-1] == len(codes)
            and (offsets[1:] >= offsets[:-1]).all()
        ):
            raise ValueError(f"offsets of {self.name!r} must rise from 0 to {len(codes)}")
        if len(codes) and not (codes.min() >= 0 and codes.max() < len(self.categories)):
            raise ValueError(
                f"codes of {self.name!r} must lie between 0 and {len(self.categories) - 1}"
            )
        first_of_row = np.zeros(len(codes) + 1, bool)
        first_of_row[offsets] = True
        if not (first_of_row[1:-1] | (codes[1:] > codes[:-1])).all():
            raise ValueError(f"codes of {self.name!r} must ascend in each row, none twice")
        if not self.separator or any(self.separator in name for name in self.categories):
            raise ValueError(f"no category of {self.name!r} may hold {self.separator!r}")

    @classmethod
    def from_values(
        cls, name: str, rows: Sequence[Collection[str]], separator: str = SEPARATOR
    ) -> MultiLabel:
        """Code the labels of each row; what a row lists twice counts once."""
        categories = tuple(sorted({label for labels in rows for label in labels}))
        code = {category: i for i, category in enumerate(categories)}
        coded = [sorted({code[label] for label in labels}) for labels in rows]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(own) for own in coded], out=offsets[1:])
        codes = np.array([c for own in coded for c in own], dtype=np.int32)
        return cls(name, categories, offsets, codes, separator)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def value(self, row: int) -> tuple[str, ...]:
        """Spell the labels of one row, in the order of the categories."""
        begin, end = self.offsets[row : row + 2].tolist()
        return tuple(self.categories[code] for code in self.codes[begin:end].tolist())

    def values(self) -> tuple[tuple[str, ...], ...]:
        """Spell the labels of each row."""
        return tuple(self.value(row) for row in range(len(self)))

    def texts(self) -> tuple[str | None, ...]:
        """Spell the labels of each row as one text; None where there are none."""
        return tuple(self.separator.join(labels) or None for labels in self.values())

    def matrix(self) -> np.ndarray:
        """Give the indicator matrix of the labels: bool, a row a picture, a column a category."""
        has = np.zeros((len(self), len(self.categories)), bool)
        has[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.codes] = True
        return has

    def take(self, rows: np.ndarray) -> MultiLabel:
        """Keep some rows, in the order given; the categories stay."""
        counts = np.diff(self.offsets)[rows]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        codes = self.codes[np.repeat(self.offsets[:-1][rows], counts) + within]
        return MultiLabel(self.name, self.categories, offsets, codes, self.separator)
