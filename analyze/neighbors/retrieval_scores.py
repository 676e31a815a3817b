"""One embedding's look-ups by one level of labels: estimates, classes, the worst queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.measures.estimates import Estimate
from analyze.neighbors.retrieval import Ranked
from extract.catalog.catalog import Level
from extract.storage.embeddings import EmbeddingSet


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
