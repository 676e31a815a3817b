"""What a cluster shows of itself: its most central and most doubtful pictures, and its words."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.measures.contingency_metrics import NOISE
from analyze.unit_vectors import unit_rows

N_SHOWN = 8
N_WORDS = 5
WORD = r"(?u)\b[^\W\d_][\w'’-]+\b"
LEAST_NAMES = 2
"""Names that a word must stand in, for it to be one of a cluster."""


@dataclass(frozen=True)
class ClusterCard:
    """One cluster.

    Parameters
    ----------
    number : int
    n_images : int
    matched : str or None
        The class matched to it.
    classes : tuple of (str, int)
        Its largest classes, with their pictures.
    central, doubtful : tuple of int
        Rows nearest to its mean, and rows nearest to another's mean.
    words : tuple of str
        That set the names of its pictures apart.
    """

    number: int
    n_images: int
    matched: str | None
    classes: tuple[tuple[str, int], ...]
    central: tuple[int, ...]
    doubtful: tuple[int, ...]
    words: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs and the page read."""
        return {**vars(self), "classes": [list(each) for each in self.classes]}


def cluster_cards(
    vectors: np.ndarray,
    assignments: np.ndarray,
    labels: Sequence[str | None] | None,
    matched: Mapping[int, str],
    names: Sequence[str] | None,
) -> tuple[ClusterCard, ...]:
    """Describe each cluster, by number; noise is none.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims)
        Distances are cosines of these.
    assignments : ndarray of shape (n_images,), int
    labels : sequence of str or None, or None
    matched : mapping of int to str
    names : sequence of str, or None
        Of the products; no words without.
    """
    numbers = [int(c) for c in np.unique(assignments) if c != NOISE]
    if not numbers:
        return ()
    unit = unit_rows(vectors)
    middles = np.stack([unit[assignments == c].mean(axis=0) for c in numbers])
    near = unit @ unit_rows(middles).T
    words = distinguishing_words(names, assignments, numbers) if names else {}
    cards = []
    for place, number in enumerate(numbers):
        rows = np.flatnonzero(assignments == number)
        own = near[rows, place]
        others = np.delete(near[rows], place, axis=1)
        margin = own - (others.max(axis=1) if others.shape[1] else -1.0)
        central = rows[np.argsort(-own, kind="stable")[:N_SHOWN]]
        left = [row for row in rows[np.argsort(margin, kind="stable")] if row not in central]
        cards.append(
            ClusterCard(
                number,
                len(rows),
                matched.get(number),
                _largest(labels, rows),
                tuple(map(int, central)),
                tuple(map(int, left[:N_SHOWN])),
                words.get(number, ()),
            )
        )
    return tuple(cards)


def _largest(labels: Sequence[str | None] | None, rows: np.ndarray) -> tuple[tuple[str, int], ...]:
    if labels is None:
        return ()
    counts: dict[str, int] = {}
    for row in rows.tolist():
        label = labels[row]
        if label is not None:
            counts[label] = counts.get(label, 0) + 1
    return tuple(sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:3])


def distinguishing_words(
    names: Sequence[str], assignments: np.ndarray, numbers: Sequence[int]
) -> dict[int, tuple[str, ...]]:
    """Find the words of names that set each cluster apart: TF-IDF, each cluster one document.

    Parameters
    ----------
    names : sequence of str
    assignments : ndarray of shape (n_images,), int
    numbers : sequence of int
        Of the clusters.

    Returns
    -------
    dict of int to tuple of str
        The most distinguishing first; empty where names share no words.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = {number: [] for number in numbers}  # type: dict[int, list[str]]
    for name, number in zip(names, assignments.tolist(), strict=True):
        if number in texts:
            texts[number].append(name[:1000])
    vectorizer = TfidfVectorizer(token_pattern=WORD, sublinear_tf=True, max_features=20_000)
    try:
        weights = vectorizer.fit_transform([" \n".join(texts[number]) for number in numbers])
    except ValueError:  # no name holds a word
        return {}
    vocabulary = vectorizer.get_feature_names_out()
    found = {}
    for place, number in enumerate(numbers):
        row = weights[place]
        order = np.argsort(-row.data, kind="stable")
        lowered = [text.lower() for text in texts[number]]
        least = min(LEAST_NAMES, len(lowered))
        words = (str(vocabulary[row.indices[i]]) for i in order[: 6 * N_WORDS])
        common = (word for word in words if sum(word in text for text in lowered) >= least)
        found[number] = tuple(itertools.islice(common, N_WORDS))
    return found
