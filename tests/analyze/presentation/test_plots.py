"""Plots from Python: the drawings of run folders, in a figure of pyplot or in given axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from analyze import agree, analyze_embeddings, cluster, compare, rank, reduce, retrieve
from analyze.presentation import figure_style
from analyze.presentation.result import Result
from extract.errors import UsageError

Y = np.repeat(["cup", "hat", "rug", "_mat $x$"], 6)
X = np.random.default_rng(0).normal(size=(24, 6)) + 3 * np.eye(4, 6)[np.repeat(range(4), 6)]
TWO = {"first": X[:, :4], "second": X[:, 2:]}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


@cache
def results() -> dict[str, Any]:
    return {
        "analysis": analyze_embeddings(X, level=Y, n_clusters=5),
        "unlabelled": analyze_embeddings(X, n_clusters=3),
        "comparison": compare(TWO, level=Y, seeds=[0, 1], reductions=["none"], n_resamples=50),
        "ranking": rank(TWO, level=Y, n_resamples=100),
        "retrieval": retrieve(TWO, level=Y, n_resamples=50),
    }


PLOTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "confusion": ("analysis", lambda r, ax: r.plot_confusion(ax=ax)),
    "map": ("unlabelled", lambda r, ax: r.plot_map(ax=ax)),
    "ari": ("comparison", lambda r, ax: r.plot_scores(ax=ax)),
    "rank": ("ranking", lambda r, ax: r.plot_ranking(ax=ax)),
    "retrieval": ("retrieval", lambda r, ax: r.plot_retrieval(ax=ax)),
    "retrieval-classes": ("retrieval", lambda r, ax: r.plot_classes(ax=ax)),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_saved_by_pyplot_has_the_pixels_of_the_file_in_the_run_folder(
    name: str, tmp_path: Path
) -> None:
    of, plot = PLOTS[name]
    result = results()[of]
    assert isinstance(result, Result)
    file = figure_style.save(result.figures()[name](), tmp_path, "saved")[0]
    assert plt.get_fignums() == []
    axes = plot(result, None)
    assert plt.get_fignums() == [axes.figure.number]
    box, (width, height) = axes.figure.get_tightbbox(), axes.figure.get_size_inches()
    assert 0 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
    own = {"dpi": figure_style.PNG_DOTS_PER_INCH, "bbox_inches": "tight", "facecolor": "white"}
    axes.figure.savefig(tmp_path / "plotted.png", **own)
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "plotted.png")), np.asarray(Image.open(file))
    )


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_in_given_axes_draws_the_same_there_and_opens_no_figure(name: str) -> None:
    of, plot = PLOTS[name]
    result = results()[of]
    figure, (left, right) = plt.subplots(1, 2)
    axes = plot(result, right)
    assert axes is right
    assert plt.get_fignums() == [figure.number]
    assert not left.has_data()
    assert not figure.texts
    assert drawn(axes) == drawn(result.figures()[name]().axes[0])
    legend = axes.get_legend()
    n_named = {"map": 3, "confusion": 0, "rank": 0}.get(name, len(TWO))
    assert len(legend.get_texts() if legend else ()) == n_named


def drawn(axes: Any) -> dict[str, Any]:
    """What is drawn, in the coordinates of the data."""
    ticks = [t.get_text() for t in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    return {
        "names": [axes.get_xlabel(), axes.get_ylabel()],
        "ticks": [text for text in ticks if not text.replace(".", "").isdigit()],
        "dots": [c.get_offsets().tolist() for c in axes.collections],
        "colors": [c.get_facecolor().tolist() for c in axes.collections],
        "lines": [line.get_xydata().tolist() for line in axes.lines],
        "bars": [patch.get_bbox().bounds for patch in axes.patches],
    }


def test_the_map_by_class_and_by_cluster_are_the_panels_of_the_file() -> None:
    result = results()["analysis"]
    by_class, by_cluster = result.figures()["map"]().axes
    assert drawn(result.plot_map()) == drawn(by_class)
    panel = result.plot_map(by="cluster")
    assert panel.get_title("left") == by_cluster.get_title("left") != ""
    assert drawn(panel)["dots"] == drawn(by_cluster)["dots"]
    assert drawn(panel)["colors"] == drawn(by_cluster)["colors"]
    with pytest.raises(UsageError, match=r"no panel of the map 'kind'.*class, cluster"):
        result.plot_map(by="kind")


def test_reduced_rows_are_drawn_by_label_by_cluster_and_alone() -> None:
    reduced = reduce(X, "pca:2")
    for by, n in ((Y, 4), (cluster(reduced, 3), 3), (None, 1)):
        axes = reduced.plot_map(by)
        dots = np.concatenate([each.get_offsets() for each in axes.collections])
        assert len(axes.collections) == n
        assert {tuple(row) for row in dots} == {tuple(row) for row in reduced.coordinates}
    with pytest.raises(UsageError, match="other rows"):
        reduced.plot_map(cluster(X[:9], 3))
    with pytest.raises(UsageError, match="do not span a plane"):
        reduce(np.ones((4, 3)), "none").plot_map()


def test_agreement_draws_its_counts() -> None:
    found = agree(Y, cluster(X, 4))
    axes = found.plot_confusion()
    cells = [int(t.get_text()) for t in axes.texts if t.get_text().isdigit()]
    assert cells == found.confusion.ravel().tolist()


def test_what_cannot_be_drawn_is_one_line() -> None:
    with pytest.raises(UsageError, match="no labels"):
        results()["unlabelled"].plot_confusion()
    with pytest.raises(UsageError, match="no score 'arri'"):
        results()["comparison"].plot_scores("arri")
    with pytest.raises(UsageError, match="no metric 'ari'"):
        results()["ranking"].plot_ranking("ari")
    with pytest.raises(UsageError, match="no level 'kind'"):
        results()["retrieval"].plot_classes("kind")
    assert plt.get_fignums() == []


def test_saving_a_result_leaves_no_figure_open(tmp_path: Path) -> None:
    results()["analysis"].save(tmp_path / "a")
    assert plt.get_fignums() == []
