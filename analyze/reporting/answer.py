"""The answer in three sentences: what was found, which backbone, what to mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.reporting.backbones import Backbone
from analyze.reporting.messages import Words
from analyze.reporting.sections import Section
from extract.catalog.catalog import Level
from extract.ids import shown

FEW = 50
"""Pictures below which a sentence warns."""


@dataclass(frozen=True)
class Pair:
    """Two classes that one backbone confuses.

    Parameters
    ----------
    a, b : str
    rows : tuple of int
        Pictures of the first in the cluster matched to the second, then the other way round.
    n_of_a : int
        How many of them are of the first.
    """

    a: str
    b: str
    rows: tuple[int, ...]
    n_of_a: int


def confused_pairs(level: Level, backbone: Backbone, most: int = 8) -> list[Pair]:
    """Find the pairs of classes with most pictures in each other's clusters.

    Parameters
    ----------
    level : Level
    backbone : Backbone
    most : int
        Pairs to give.
    """
    clustered = backbone.clustered
    if clustered is None:
        return []
    code = {name: i for i, name in enumerate(level.categories)}
    cluster_code = {number: code[name] for number, name in clustered.matched.items()}
    found = np.array([cluster_code.get(int(c), -1) for c in clustered.assignments])
    wrong = np.flatnonzero((level.codes >= 0) & (found >= 0) & (found != level.codes))
    rows_of: dict[tuple[int, int], list[int]] = {}
    for row in wrong.tolist():
        own, other = int(level.codes[row]), int(found[row])
        rows_of.setdefault((min(own, other), max(own, other)), []).append(row)
    largest = sorted(rows_of.items(), key=lambda each: (-len(each[1]), each[0]))[:most]
    pairs = []
    for (one, other), rows in largest:
        first = [row for row in rows if level.codes[row] == one]
        second = [row for row in rows if level.codes[row] == other]
        if len(second) > len(first):
            one, other, first, second = other, one, second, first
        names = level.categories[one], level.categories[other]
        pairs.append(Pair(*names, (*first, *second), len(first)))
    return pairs


def answer(
    backbones: Sequence[Backbone],
    level: Level | None,
    pairs: Sequence[Pair],
    sections: Sequence[Section],
    words: Words,
) -> tuple[str, ...]:
    """Give three sentences.

    Parameters
    ----------
    backbones : sequence of Backbone
        The best first.
    level : Level or None
    pairs : sequence of Pair
        Of the first backbone.
    sections : sequence of Section
    words : Words
    """
    by_kind = {section.kind: section for section in sections}
    return (
        _found(backbones[0], level, words),
        _which(backbones, by_kind.get("compare"), words),
        _mend(backbones[0], pairs, level, by_kind.get("audit"), words),
    )


def _found(best: Backbone, level: Level | None, words: Words) -> str:
    if best.is_random:
        return words("random_answer", model=best.name)
    clustered, n = best.clustered, len(best.embeddings)
    if clustered is None:
        return words("no_clusters_answer", n=words.count(n))
    n_clusters = words.count(len(clustered.cards))
    ari = clustered.scores.get("ari")
    if level is None or ari is None:
        silhouette = words.number(clustered.scores.get("silhouette"))
        about = {"n_clusters": n_clusters, "model": best.name, "silhouette": silhouette}
        return words("unlabelled_answer", **about)
    return words(
        "found_answer",
        n_clusters=n_clusters,
        model=best.name,
        steps=clustered.run.record.get("reduction"),
        seed=clustered.run.record.get("seed"),
        n_classes=words.count(len(np.unique(level.codes[level.codes >= 0]))),
        level=shown(level.name),
        ari=words.number(ari),
        accuracy=words.share(clustered.scores.get("matched_accuracy")),
    )


def _which(backbones: Sequence[Backbone], compared: Section | None, words: Words) -> str:
    if len(backbones) == 1:
        return words("one_backbone_answer", model=backbones[0].name)
    cells = _of_ari(compared, "cells")
    known = [cell for cell in cells if cell.get("mean") is not None]
    if not known:
        return words("not_compared_answer", n=len(backbones))
    best = max(known, key=lambda cell: float(cell["mean"]))
    steps = str(best.get("reduction"))
    column = [c for c in known if all(c.get(k) == best.get(k) for k in ("reduction", "clustering"))]
    if len(column) < 2:
        return words("not_compared_answer", n=len(backbones))
    column.sort(key=lambda cell: -float(cell["mean"]))
    pair = _pair(_of_ari(compared, "pairs"), best, column[1])
    about: dict[str, Any] = {"n": len(column), "a": _named(best), "steps": steps}
    if pair is None or pair.get("low") is None:
        return words("highest_answer", value=words.number(float(best["mean"])), **about)
    turned = pair.get("b_identity") == best.get("identity")
    low, high = float(pair["low"]), float(pair["high"])
    low, high = (-high, -low) if turned else (low, high)
    difference = -float(pair["difference"]) if turned else float(pair["difference"])
    undecided = "cannot be distinguished" in str(pair.get("verdict"))
    return words(
        "alike_answer" if undecided else "better_answer",
        b=_named(column[1]),
        difference=words.number(difference, signed=True),
        low=words.number(low, signed=True),
        high=words.number(high, signed=True),
        **about,
    )


def _of_ari(section: Section | None, key: str) -> list[Mapping[str, Any]]:
    found = section.run.record.get(key) if section else None
    listed = found if isinstance(found, list) else []
    return [each for each in listed if isinstance(each, dict) and each.get("metric") == "ari"]


def _pair(
    pairs: Sequence[Mapping[str, Any]], one: Mapping[str, Any], other: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    wanted = {one.get("identity"), other.get("identity")}
    same = ("reduction", "clustering")
    fitting = (
        pair
        for pair in pairs
        if {pair.get("a_identity"), pair.get("b_identity")} == wanted
        and all(pair.get(key) == one.get(key) for key in same)
    )
    return next(fitting, None)


def _named(cell: Mapping[str, Any]) -> str:
    resize = str(cell.get("resize", ""))
    return f"{cell.get('model')}{'' if resize in ('', 'unknown') else ' ' + resize}"


def _mend(
    best: Backbone, pairs: Sequence[Pair], level: Level | None, audit: Section | None, words: Words
) -> str:
    n_images = len(best.embeddings)
    few = f" {words('few_answer', n=n_images)}" if n_images < FEW else ""
    if audit is not None and audit.groups:
        most = max(audit.groups, key=lambda group: group.n)
        n = words.count(sum(group.n for group in audit.groups))
        about = {"n": n, "most": most.title, "n_most": words.count(most.n)}
        return words("findings_answer", **about) + few
    if best.is_random:
        return words("random_mend_answer") + few
    if pairs:
        pair = pairs[0]
        about = {"a": shown(pair.a), "b": shown(pair.b), "n": words.count(len(pair.rows))}
        return words("confused_answer", **about) + few
    return words("not_confused_answer" if level is not None else "nothing_to_mend_answer") + few
