"""The figures of a head: what is drawn is what the report says, with few classes and with many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.text import Annotation

from analyze.head.against_figure import draw_against
from analyze.head.figures.calibration_figure import draw_calibration
from analyze.head.figures.head_figures import draw_curves, figures_of, head_confusion_chart
from analyze.head.reporting.calibration import calibrate
from analyze.head.rivals import Contender, HeadComparison, compare_heads
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from extract.storage.embeddings import EmbeddingSet, Provenance

Make = Callable[..., EmbeddingSet]


@pytest.fixture(scope="module")
def compared(few: tuple[np.ndarray, np.ndarray], embeddings_of: Make) -> HeadComparison:
    vectors, labels = few
    noise = np.random.default_rng(0).normal(scale=2, size=vectors.shape)
    other = embeddings_of(vectors + noise, labels)
    made = Provenance({"backbone": "vgg$16$", "weights": {"source": "random"}}, ())
    training = TrainingSpec(learning_rate=0.01, epochs=15, patience=4)
    plan = Plan(n_seeds=3, head=HeadSpec(width=16), training=training, n_resamples=100)
    contenders = [
        Contender(embeddings_of(vectors, labels)),
        Contender(replace(other, provenance=made)),
    ]
    return compare_heads(contenders, plan=plan)


def numbers_in(axes: Any, shape: tuple[int, int]) -> np.ndarray:
    written = np.full(shape, -(10**6))
    for text in axes.texts:
        if not isinstance(text, Annotation):
            x, y = text.get_position()
            written[int(y), int(x)] = int(text.get_text())
    return written


def colors_of(axes: Any, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(axes.collections[0].get_array()).reshape(shape)


def with_many_classes(compared: HeadComparison, n: int, n_seen: int) -> HeadComparison:
    """The same comparison, as of a catalogue of many classes, some of which are never seen."""
    names = tuple(f"class {i:03}" for i in range(n))
    random = np.random.default_rng(0)
    counts = np.zeros((2, n, n), int)
    counts[:, :n_seen, :n_seen] = random.integers(0, 3, (2, n_seen, n_seen))
    counts[:, np.arange(n_seen), np.arange(n_seen)] = np.arange(n_seen) + 4
    one, other = (replace(each, classes=names) for each in compared.named_reports.values())
    for report, own in zip((one, other), counts, strict=True):
        vars(report)["confusion"] = own  # in place of what would be counted
    return replace(compared, report=one, rivals=(replace(compared.rivals[0], report=other),))


def test_two_confusions_and_their_difference_stand_side_by_side(compared: HeadComparison) -> None:
    first, second, difference, _bar = draw_against(compared).axes
    one, other = (report.confusion for report in compared.named_reports.values())
    assert (numbers_in(first, (5, 5)) == one).all()
    assert (numbers_in(second, (5, 5)) == other).all()
    assert (numbers_in(difference, (5, 5)) == one - other).all()
    tested = one.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(colors_of(first, (5, 5)), one / tested)
    np.testing.assert_allclose(colors_of(difference, (5, 5)), (one - other) / tested)
    low, high = difference.collections[0].get_clim()
    assert low == -high
    assert any(r"vgg\$16\$" in text.get_text() for text in second.texts)


def test_a_confusion_has_rows_for_classes(compared: HeadComparison) -> None:
    report = compared.report
    axes = head_confusion_chart(report).figure().axes[0]
    assert (numbers_in(axes, (5, 5)) == report.confusion).all()
    assert [text.get_text() for text in axes.get_yticklabels()] == list(report.classes)


def test_classes_that_nobody_saw_are_left_out_and_said(compared: HeadComparison) -> None:
    many = with_many_classes(compared, 24, 11)
    axes = head_confusion_chart(many.report).figure().axes[0]
    assert len(axes.get_yticklabels()) == 11
    assert any("13 classes not drawn" in text.get_text() for text in axes.texts)
    figure = draw_against(many)
    assert len(figure.axes[0].get_yticklabels()) == 11
    assert "13 classes not drawn" in figure.get_suptitle()


def test_many_classes_that_are_paths_are_grouped_by_what_they_begin_with(
    compared: HeadComparison,
) -> None:
    report = with_many_classes(compared, 30, 30).report
    counts = report.confusion
    names = tuple(f"{'BA'[i % 2]} >> {i:02}" for i in range(30))
    vars(report)["classes"] = names
    axes = head_confusion_chart(report).figure().axes[0]
    order = [*range(1, 30, 2), *range(0, 30, 2)]
    assert [text.get_text() for text in axes.get_yticklabels()] == [names[i] for i in order]
    grouped = counts[np.ix_(order, order)]
    shares = grouped / np.maximum(grouped.sum(axis=1, keepdims=True), 1)
    np.testing.assert_allclose(colors_of(axes, (30, 30)), shares)
    assert [(box.get_y(), box.get_height()) for box in axes.patches] == [(0, 15), (15, 15)]


def test_calibration_has_the_interval_of_each_share() -> None:
    """Wilson's, by its formula; it holds the share."""
    rng = np.random.default_rng(0)
    sure = rng.beta(5, 2, 300)
    right = rng.random(300) < sure
    found = calibrate([sure], [sure], [right], [1.0])
    (bars,) = [
        each
        for each in draw_calibration(found, title="t").axes[0].collections
        if isinstance(each, LineCollection)
    ]
    for each, segment in zip(found.bins, bars.get_segments(), strict=True):
        n, p, z = each.n, each.accuracy, 1.959964
        middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
        expected = (middle + np.array([-half, half])) / (1 + z * z / n)
        np.testing.assert_allclose(segment[:, 1], expected, atol=1e-6)
        np.testing.assert_allclose(segment[:, 0], each.confidence)


def test_coverage_and_accuracy_are_drawn_where_there_are_answers() -> None:
    sure = np.linspace(0.1, 0.85, 40)
    found = calibrate([sure], [sure], [sure > 0.4], [1.0])
    answered, right = draw_calibration(found, title="t").axes[1].lines
    drawn = [[(c.threshold, c.coverage) for c in found.coverage]]
    drawn += [[(c.threshold, c.accuracy) for c in found.coverage if c.accuracy is not None]]
    assert 0 < len(drawn[1]) < len(drawn[0])
    for line, expected in zip((answered, right), drawn, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), expected)


def test_of_many_classes_the_smaller_are_taken_together(compared: HeadComparison) -> None:
    many = with_many_classes(compared, 62, 62)
    figure = draw_against(many)
    axes = figure.axes[0]
    named = [text.get_text() for text in axes.get_yticklabels()]
    assert named[-1] == "22 smaller classes"
    assert len(named) == 41
    counts = many.report.confusion
    kept = [many.report.classes.index(name) for name in named[:-1]]
    rest = np.setdiff1d(np.arange(62), kept)
    assert counts[rest].sum(axis=1).max() <= counts[kept].sum(axis=1).min()
    share = counts[np.ix_(rest, rest)].sum() / counts[rest].sum()
    assert colors_of(axes, (41, 41))[-1, -1] == pytest.approx(share)
    assert max(figure.get_size_inches()) < 30


def test_three_matrices_with_numbers_stay_on_one_screen(compared: HeadComparison) -> None:
    assert max(draw_against(with_many_classes(compared, 20, 20)).get_size_inches()) < 30


def test_curves_hold_every_training_its_mean_and_its_best_epoch(compared: HeadComparison) -> None:
    runs = compared.report.runs
    loss, accuracy = draw_curves(compared.report).axes
    for axes, name in ((loss, "validation_loss"), (accuracy, "validation_accuracy")):
        *_, mean = [line for line in axes.lines if line.get_linewidth() > 2]
        first = np.mean([getattr(run.trained.curves[0], name) for run in runs])
        assert mean.get_ydata()[0] == pytest.approx(first)
        shortest = min(run.trained.stopped_epoch for run in runs)
        assert np.isfinite(mean.get_ydata()).sum() == shortest
        (dots,) = axes.collections
        best = [run.trained.best_epoch for run in runs]
        at = [getattr(run.trained.curves[run.trained.best_epoch - 1], name) for run in runs]
        np.testing.assert_allclose(dots.get_offsets(), np.stack([best, at], axis=1))
        thin = [line for line in axes.lines if line.get_linewidth() < 1]
        assert len(thin) == 2 * len(runs)


def test_a_head_has_three_figures(compared: HeadComparison) -> None:
    assert set(figures_of(compared.report)) == {"calibration", "confusion", "curves"}
