"""Retrieval results by class: estimates, the worst queries, the keys that programs read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.measures.alignment import align
from analyze.measures.estimates import Estimate, mean_over_pictures
from analyze.measures.levels import no_labels
from analyze.neighbors.retrieval import Ranked, rank_all
from analyze.pictures.near_duplicates import NEAR_COSINE, Copies, find_copies, join_copies
from extract.catalog.catalog import Level
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

MOST_QUERIES = 5000


@dataclass(frozen=True, eq=False)
class Retrieved:
    """One embedding's retrieval, judged by one level of labels.

    Parameters
    ----------
    name : str
        For people; different from that of every other embedding.
    number : int
        Its place among the embeddings, from 0.
    embeddings : EmbeddingSet
        The pictures that all of them hold.
    level : Level
    groups : ndarray of shape (n_images,), int
        Copies have one number.
    ranked : Ranked
    estimates : mapping of (metric, k) to Estimate
        Over all queries.
    by_class : mapping of str to (n_queries, mapping of (metric, k) to Estimate)
    """

    name: str
    number: int
    embeddings: EmbeddingSet
    level: Level
    groups: np.ndarray
    ranked: Ranked
    estimates: dict[tuple[str, int | None], Estimate]
    by_class: dict[str, tuple[int, dict[tuple[str, int | None], Estimate]]]

    @property
    def key(self) -> dict[str, Any]:
        """What identifies it, with the keys that programs read."""
        made = self.embeddings.provenance
        return {"model": made.model, "identity": made.short_identity, "weights": made.weights}

    @property
    def made(self) -> dict[str, Any]:
        """How its vectors were made, with the keys that programs read: they stand last."""
        made = self.embeddings.provenance
        return {"resize": made.resize, "pooling": made.pooling}

    def rows(self) -> list[dict[str, Any]]:
        """Spell the estimates over all queries."""
        n = len(self.ranked.rows)
        return [
            {
                **self.key,
                "level": self.level.name,
                **_spelled(metric, k, found),
                "n_queries": n,
                **self.made,
            }
            for (metric, k), found in self.estimates.items()
        ]

    def class_rows(self) -> list[dict[str, Any]]:
        """Spell the estimates a class."""
        return [
            {
                **self.key,
                "level": self.level.name,
                "class": name,
                **_spelled(metric, k, found),
                "n_queries": n,
                **self.made,
            }
            for name, (n, estimates) in self.by_class.items()
            for (metric, k), found in estimates.items()
        ]

    def worst(self, n: int) -> list[dict[str, Any]]:
        """Spell the queries of the lowest average precision, ties by row, with their answers."""
        ranked, ids = self.ranked, self.embeddings.ids
        order = np.argsort(ranked.average_precision, kind="stable")[:n]
        return [
            {
                **self.key,
                "level": self.level.name,
                "id": ids[ranked.rows[i]],
                "row": int(ranked.rows[i]),
                "class": self.level.value(ranked.rows[i]),
                "average_precision": float(ranked.average_precision[i]),
                "first_right": round(1 / float(ranked.reciprocal_rank[i])),
                "hits": [
                    {
                        "rank": rank,
                        "id": ids[row],
                        "row": int(row),
                        "similarity": float(cosine),
                        "class": self.level.value(row),
                        "right": bool(self.level.codes[row] == self.level.codes[ranked.rows[i]]),
                    }
                    for rank, (row, cosine) in enumerate(
                        zip(ranked.nearest[i].tolist(), ranked.cosines[i], strict=True), start=1
                    )
                    if row >= 0
                ],
                **self.made,
            }
            for i in order
        ]


def _spelled(metric: str, k: int | None, found: Estimate) -> dict[str, Any]:
    return {"metric": metric, "k": k, "value": found.mean, "low": found.low, "high": found.high}


def retrieve(
    embedding_sets: Sequence[EmbeddingSet],
    *,
    level: str | None = None,
    ks: Sequence[int] = (5, 10),
    n_shown: int = 5,
    most_queries: int = MOST_QUERIES,
    n_resamples: int = 2000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[Retrieved, ...], tuple[str, ...]]:
    """Judge retrieval by several embeddings, on the same pictures, by each level of labels.

    Intervals are over the queries, copies drawn together; what is searched is as it
    is. Copies of a picture, byte-identical or near-identical by any of the embeddings, are none of
    its answers.

    Parameters
    ----------
    embedding_sets : sequence of EmbeddingSet
    level : str, optional
        Name or number of one level; all of them without it.
    ks : sequence of int
        Of precision and recall.
    most_queries : int
        Of more pictures a sample is queried, and a note reports it.

    Returns
    -------
    found : tuple of Retrieved
        By level, within it in the order given.
    notes : tuple of str

    Raises
    ------
    UsageError
        When there are no labels, or no picture has another of its class.
    """
    if not ks or min(ks) < 1:
        raise UsageError("--k: give 1 or more")
    found: list[Retrieved] = []
    notes: list[str] = []
    wanted = [level] if level is not None else _level_names(embedding_sets)
    for name in wanted:
        aligned = align(embedding_sets, name)
        sets, known = aligned.embedding_sets, aligned.level
        copies = join_copies([find_copies(each.vectors, _hashes(sets)) for each in sets])
        notes += _copies_notes(copies)
        there = np.logical_and.reduce([each.vectors.any(axis=1) for each in sets])
        codes = np.where(there, known.codes, -1)
        for number, (each, words) in enumerate(zip(sets, aligned.names, strict=True)):
            ranked = rank_all(
                each.vectors,
                codes,
                copies.groups,
                sorted(set(ks)),
                n_shown=n_shown,
                most_queries=most_queries,
                seed=seed,
                progress=progress,
            )
            if not len(ranked.rows):
                raise UsageError(
                    f"no picture has another of its class of level {known.name!r}, copies aside: "
                    "name another with --level"
                )
            found.append(
                _judged(words, number, each, known, copies.groups, ranked, n_resamples, seed)
            )
        notes += [*aligned.notes, *_left_out(found[-1], known, there, len(wanted) > 1)]
    return tuple(found), tuple(dict.fromkeys(notes))


def _judged(
    name: str,
    number: int,
    embeddings: EmbeddingSet,
    level: Level,
    groups: np.ndarray,
    ranked: Ranked,
    n_resamples: int,
    seed: int,
) -> Retrieved:
    values = ranked.values()
    codes = level.codes[ranked.rows]
    units = groups[ranked.rows]

    def judge(rows: np.ndarray) -> dict[tuple[str, int | None], Estimate]:
        return {
            key: mean_over_pictures(
                value[None, rows], units[rows], least=0.0, n_resamples=n_resamples, seed=seed
            )
            for key, value in values.items()
        }

    by_class = {}
    for code in np.unique(codes).tolist():
        rows = np.flatnonzero(codes == code)
        by_class[level.categories[code]] = len(rows), judge(rows)
    everything = judge(np.arange(len(codes)))
    return Retrieved(name, number, embeddings, level, groups, ranked, everything, by_class)


def _level_names(embedding_sets: Sequence[EmbeddingSet]) -> list[str]:
    """Name the levels of the first set that has any."""
    for each in embedding_sets:
        if each.levels:
            return [level.name for level in each.levels]
    none = no_labels(next((s.multi_labels for s in embedding_sets if s.multi_labels), ()))
    raise UsageError(
        f"{none}, so it is unknown which answers are right: embed pictures in a folder a class, or "
        "with --manifest and --label-column"
    )


def _hashes(sets: Sequence[EmbeddingSet]) -> np.ndarray | None:
    """Give the hashes that any of the files knows; a row of zeros is none."""
    hashes = np.zeros((len(sets[0]), 32), np.uint8)
    for each in sets:
        if each.content_sha256 is not None:
            unknown = ~hashes.any(axis=1)
            hashes[unknown] = each.content_sha256[unknown]
    return hashes


def _copies_notes(copies: Copies) -> list[str]:
    sizes = np.bincount(copies.groups)
    n = int(sizes[sizes > 1].sum())
    note = (
        f"{n} pictures have copies, or variants too near to distinguish from copies by their "
        f"vectors (cosine of {NEAR_COSINE}): these are none of a query's answers"
    )
    return [*([note] if n else []), *copies.notes]


def _left_out(found: Retrieved, level: Level, there: np.ndarray, many_levels: bool) -> list[str]:
    """Return notes on the pictures that were no queries, and why."""
    ranked = found.ranked
    at = f" at level {level.name}" if many_levels else ""
    alone = len(ranked.without_relevant)
    n_unlabelled = int((level.codes < 0).sum())
    n_zeros = int(((level.codes >= 0) & ~there).sum())
    notes = []
    if alone:
        notes.append(
            f"{alone} {_pictures(alone)} left out as a query{at}: no other of the class, copies "
            "aside"
        )
    if n_unlabelled:
        notes.append(f"{n_unlabelled} {_pictures(n_unlabelled)} left out{at}: no label")
    if n_zeros:
        notes.append(f"{n_zeros} {_pictures(n_zeros)} left out{at}: all zeros, no direction")
    if ranked.n_not_drawn:
        notes.append(
            f"{len(ranked.rows)} of {len(ranked.rows) + ranked.n_not_drawn} pictures are "
            f"queries{at}, drawn by the seed; answers are all"
        )
    return notes


def _pictures(n: int) -> str:
    return "picture is" if n == 1 else "pictures are"
