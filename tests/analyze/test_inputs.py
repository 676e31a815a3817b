"""Arrays and labels where analyses take embedding sets: the same answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analyze import agree, analyze_embeddings, cluster, compare, rank, reduce, retrieve
from analyze.inputs import as_sets
from extract import EmbeddingSet
from extract.errors import UsageError

RNG = np.random.default_rng(0)
CODES = np.arange(40) % 4
Y = np.array(["cup", "hat", "jug", "rug"])[CODES]
X = (RNG.normal(size=(40, 6)) + 3 * np.eye(4, 6)[CODES]).astype(np.float32)
OTHER = X + RNG.normal(size=X.shape).astype(np.float32)
SETS = [EmbeddingSet.from_arrays(v, labels=Y, name=n) for v, n in ((X, "a"), (OTHER, "b"))]


@pytest.mark.parametrize(
    "given", [{"a": X, "b": OTHER}, {"a": pd.DataFrame(X), "b": OTHER.tolist()}]
)
def test_arrays_and_labels_give_the_answers_of_sets(given: Any) -> None:
    for analysis in (
        lambda sets, level: compare(sets, level=level, seeds=(0, 1), reductions=("none",)),
        lambda sets, level: rank(sets, level=level, n_resamples=50),
        lambda sets, level: retrieve(sets, level=level, n_resamples=50),
    ):
        assert analysis(given, Y).to_json() == analysis(SETS, None).to_json()


def test_one_array_is_analyzed_with_its_labels() -> None:
    analysis = analyze_embeddings(X, Y, reduction="pca:3")
    assert analysis.scores == analyze_embeddings(SETS[0], reduction="pca:3").scores
    assert analyze_embeddings(X, n_clusters=4).agreement is None
    assert "ARI" in repr(analysis)


def test_a_table_of_a_result_is_a_frame() -> None:
    found = compare(SETS, seeds=(0,), reductions=("none",), n_resamples=0)
    frame = found.to_frame()
    assert frame["model"].tolist() == ["a", "b"]
    header, *rows = found.tables()["comparison"]
    assert frame.columns.tolist() == list(header)
    assert frame.to_numpy().tolist() == [list(row) for row in rows]
    with pytest.raises(UsageError, match="no table 'none'"):
        found.to_frame("none")


def test_sets_are_told_from_arrays() -> None:
    def names(given: Any) -> list[str]:
        return [each.provenance.model for each in as_sets(given, None)[0]]

    assert names(X) == names(X.tolist()) == names([X]) == ["vectors"]
    assert names([X, OTHER]) == ["vectors 1", "vectors 2"]
    assert names(SETS) == names(tuple(SETS)) == ["a", "b"]
    assert names(SETS[0]) == ["a"]
    assert as_sets(SETS, "label") == (SETS, "label")
    assert as_sets(SETS, 1) == (SETS, "1")


def test_labels_that_do_not_fit_are_one_line() -> None:
    with pytest.raises(UsageError, match="3 of 'label' for 40 rows"):
        rank({"a": X, "b": OTHER}, level=["x", "y", "z"])


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (lambda: cluster(X, "auto"), r"'auto' is no number.*\(X, n_clusters=\"auto\"\)"),  # type: ignore[arg-type]
        (lambda: cluster(X, 2.5), "2.5 is no number of clusters: give a whole one"),  # type: ignore[arg-type]
        (lambda: cluster(X, 0), "^0 clusters of 40 rows: give a number between 1 and 40$"),
        (lambda: cluster("X.npy", 3), r"'X.npy' is a path, not numbers; .*numpy.load"),
        (lambda: analyze_embeddings(Path("e.h5")), r"'e.h5' is a path.*read_embeddings"),  # type: ignore[arg-type]
        (lambda: agree(cluster(X, 4), Y), r"as in agree\(labels, clusters\)"),  # type: ignore[arg-type]
        (lambda: reduce(X, "pca:2").plot_map(Y, cluster(X, 4)), "ax: Clustering is no axes"),  # type: ignore[arg-type]
    ],
)
def test_likely_slips_are_one_line(typed: Callable[[], object], line: str) -> None:
    with pytest.raises(UsageError, match=line) as refused:
        typed()
    assert "\n" not in str(refused.value)
