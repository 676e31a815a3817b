"""Figures of many classes and many backbones: no texts over each other, no sheet without end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from analyze.comparison.figure import comparison_chart
from analyze.explanation.evaluation.figure import draw_features, draw_places
from analyze.head.figures.calibration_figure import draw_calibration
from analyze.head.figures.levels_figure import OTHERS, TOGETHER, draw_levels
from analyze.head.reporting.calibration import calibrate
from analyze.head.reporting.tree_report import TreeReport
from analyze.measures.confusion_figure import draw_shares
from analyze.measures.estimates import Estimate
from analyze.neighbors.retrieval_figure import classes_chart, draw_retrieval
from analyze.neighbors.retrieval_scores import Retrieved
from analyze.presentation.figure_style import new_figure, save

NAMES = [f"Home Furnishing >> Curtains & Accessories >> Blankets, Quilts {i}" for i in range(62)]
HALF = Estimate(0.5, 0.4, 0.6)


def overlap(figure: Any, texts: Sequence[Any]) -> bool:
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts]
    return any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_long_names_of_levels_stand_next_to_each_other() -> None:
    level = {"accuracy": HALF, "path": HALF, "alone": HALF, "baselines": {"knn": HALF}}
    levels = [
        SimpleNamespace(level=f"product_category_tree level {i}", n_classes=243, **level)
        for i in range(3)
    ]
    f1 = {"head": HALF, "logistic_regression": HALF}
    tree = cast(TreeReport, SimpleNamespace(levels=levels, hierarchical_f1=f1))
    figure = draw_levels(tree, title="t")
    assert not overlap(figure, [axes.xaxis.label for axes in figure.axes])
    for axes in figure.axes:
        dots = [line.get_color() for line in axes.lines if len(line.get_xdata()) == 1]
        assert dots == [TOGETHER, TOGETHER, OTHERS, OTHERS], "head and path, then their rivals"


def test_a_long_title_leaves_no_gap_between_the_panels_of_calibration() -> None:
    sure = np.linspace(0.1, 1, 50)
    found = calibrate([sure], [sure], [sure > 0.4], [1.0])
    figure = draw_calibration(
        found, title="How far the head on convnext_base.fb_in22k_ft_in1k can be believed"
    )
    figure.draw_without_rendering()
    left, right = (axes.get_position() for axes in figure.axes)
    assert right.x0 - left.x1 < 0.1


def test_names_of_twelve_backbones_take_several_columns_that_fit() -> None:
    names = [f"efficientnet_b3.ra2_in1k, resize pad, pooling cls {i}" for i in range(12)]
    labels = {"score": "ARI", "title": "t", "subtitle": "s"}
    figure = comparison_chart(np.full((12, 1, 2), 0.5), names, ["none"], **labels).figure()
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert len({round(text.get_window_extent().x0) for text in legend.get_texts()}) > 1
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


@pytest.mark.parametrize("n_backbones", [1, 3, 12])
def test_dots_of_a_class_stand_closer_than_two_classes_and_the_sheet_ends(n_backbones: int) -> None:
    by_class = {name: (9, {("map", None): HALF}) for name in NAMES}
    found = [
        cast(Retrieved, SimpleNamespace(name=f"b{i}", number=i, by_class=by_class))
        for i in range(n_backbones)
    ]
    figure = classes_chart(found, subtitle="s").figure()
    (axes,) = figure.axes
    assert figure.get_size_inches()[1] <= 22
    drawn = np.array([each.get_offsets()[:, 1] for each in axes.collections])
    between = drawn[0, 1] - drawn[-1, 0]
    within = np.diff(drawn[:, 0])
    assert (within < between).all()
    assert between < 3 * (within.max() if n_backbones > 1 else 1)
    (said,) = [text.get_text() for text in axes.texts if "worst" in text.get_text()]
    assert said.endswith(f"the {drawn.shape[1]} worst of 62 classes")


@pytest.mark.parametrize("n", [4, 20, 62])
def test_places_in_the_frame_are_named_below_each_and_the_sheet_ends(n: int) -> None:
    names = NAMES[:n]
    places = dict.fromkeys(names, np.eye(2))
    counts = {name: i for i, name in enumerate(names)}
    figure = draw_places(places, counts, title="t", subtitle="s")
    labels = [axes.xaxis.label for axes in figure.axes if axes.images and axes.get_xlabel()]
    assert len(labels) == min(n, 40)
    assert labels[-1].get_text().endswith(f"{n - 1} pictures"), "the most pictures"
    assert not overlap(figure, labels)
    assert max(figure.get_size_inches()) < 20


def test_of_many_classes_those_with_the_largest_shares_are_drawn() -> None:
    shares = {name: np.array([i, 0.0]) for i, name in enumerate(NAMES)}
    axes, _bar = draw_features(shares, title="t", subtitle="s").axes
    assert [t.get_text()[-2:] for t in axes.get_yticklabels()] == [f"{i}" for i in range(22, 62)]
    assert any("the 40 of 62 classes" in text.get_text() for text in axes.texts)


def test_a_matrix_of_many_classes_is_a_small_svg(tmp_path: Path) -> None:
    figure = new_figure(6, 6)
    draw_shares(figure.subplots(), np.eye(120, dtype=int), None, None, bar=False)
    _, svg = save(figure, tmp_path, "matrix", svg=True)
    assert svg.stat().st_size < 300_000


def test_each_panel_of_retrieval_is_of_its_own_level() -> None:
    """Planted values, a level each: a dot of one never stands in the panel of another."""
    found = [
        SimpleNamespace(
            level=SimpleNamespace(name=name),
            name="lite0",
            number=0,
            estimates={("precision", 1): Estimate(value, value - 0.01, value + 0.01)},
        )
        for name, value in (("kind", 0.2), ("brand", 0.8))
    ]
    figure = draw_retrieval(cast(list[Retrieved], found), subtitle="s")
    panels = {axes.get_xlabel(): axes for axes in figure.axes}
    assert [*panels] == ["level kind", "level brand"]
    for axes, value in zip(figure.axes, (0.2, 0.8), strict=True):
        drawn = [x for line in axes.lines for x in line.get_xdata() if 0 < x < 1]
        drawn += [x for dots in axes.collections for x, _ in dots.get_offsets() if 0 < x < 1]
        assert drawn
        assert all(abs(x - value) < 0.02 for x in drawn)
