"""Scores of maps: by hand, against brute force, and on a planted truth against a map of noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from small_catalogs import tiny_backbone

from analyze.explanation.evaluation.evaluation import MapsOfMethod, agreement_rows, score_methods
from analyze.explanation.evaluation.figure import draw_evaluation
from analyze.explanation.evaluation.measured_maps import Box, Shown, boxes_of
from analyze.explanation.faithfulness import (
    RANDOM,
    STEPS,
    blurred,
    enlarged,
    follow,
    random_heat,
    rank_agreement,
    reduced,
)
from analyze.explanation.placement import place_of
from analyze.explanation.reporting.methods import ExplanationMethods, read_boxes
from extract.errors import UsageError

SIZE = 32


def test_curves_go_from_the_picture_to_its_blur_and_back() -> None:
    pixels = torch.randn(3, SIZE, SIZE, generator=torch.manual_seed(0))
    heat = np.random.default_rng(0).random((SIZE, SIZE))
    seen: list[torch.Tensor] = []

    def ask(some: torch.Tensor) -> np.ndarray:
        seen.append(some)
        found: np.ndarray = some.mean(dim=(1, 2, 3)).double().numpy()
        return found

    curves = follow(ask, pixels, heat)
    (asked,) = seen
    deleted, inserted = asked[: STEPS + 1], asked[STEPS + 1 :]
    assert torch.equal(deleted[0], pixels)
    assert torch.equal(inserted[-1], pixels)
    assert torch.equal(deleted[-1], blurred(pixels))
    assert torch.equal(inserted[0], blurred(pixels))
    order = np.argsort(-heat.ravel())
    gone = np.zeros(heat.size, bool)
    gone[order[: heat.size * 3 // STEPS]] = True
    by_hand = torch.where(torch.from_numpy(gone.reshape(heat.shape)), blurred(pixels), pixels)
    assert torch.equal(deleted[3], by_hand)
    trapezoid = np.trapezoid(curves.deletion, dx=1 / STEPS)
    assert curves.deletion_area == pytest.approx(trapezoid)
    assert curves.insertion_area == pytest.approx(np.trapezoid(curves.insertion, dx=1 / STEPS))


def test_cells_and_pixels_are_each_others_average() -> None:
    cells = np.random.default_rng(0).random((4, 4))
    blocks = np.kron(cells, np.ones((8, 8)))
    np.testing.assert_allclose(reduced(blocks, 4, 4), cells)
    np.testing.assert_allclose(reduced(np.ones((30, 30)), 7, 7), np.ones((7, 7)))
    np.testing.assert_allclose(enlarged(np.full((3, 3), 2.0), 20), np.full((20, 20), 2.0))
    middle = enlarged(cells, 32)[3:5, 3:5].mean()  # where the first cell's middle lies
    assert middle == pytest.approx(cells[0, 0], abs=0.1)
    assert np.array_equal(random_heat(7, 7, 20, (1, 2)), random_heat(7, 7, 20, (1, 2)))
    assert not np.array_equal(random_heat(7, 7, 20, (1, 2)), random_heat(7, 7, 20, (1, 3)))


def test_agreement_is_spearmans() -> None:
    random = np.random.default_rng(0)
    one, other = random.integers(0, 9, (2, 50))
    assert rank_agreement(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert rank_agreement(one, np.zeros(50)) == 0


def followed(method: str, n: int, seed: int) -> MapsOfMethod:
    """Maps of a picture whose value is the light of a square: of the square itself, or of noise."""
    random = np.random.default_rng(seed)
    curves, cells = [], []
    for i in range(n):
        y, x = random.integers(2, 20, 2)
        pixels = torch.randn(3, SIZE, SIZE, generator=torch.manual_seed(i))
        pixels[:, y : y + 10, x : x + 10] += 3
        truth = np.zeros((SIZE, SIZE))
        truth[y : y + 10, x : x + 10] = 1
        inside = torch.from_numpy(truth > 0)

        def ask(some: torch.Tensor, where: torch.Tensor = inside) -> np.ndarray:
            found: np.ndarray = torch.sigmoid(some[:, :, where].mean(dim=(1, 2)) - 1.5).numpy()
            return found

        heat = truth if method == "gradcam" else random_heat(8, 8, SIZE, (seed, i))
        curves.append(follow(ask, pixels, heat))
        cells.append(reduced(heat, 8, 8))
    return MapsOfMethod(method, tuple(curves), tuple(cells), seconds=float(n), n_empty=1)


def test_a_true_map_beats_noise_and_noise_does_not() -> None:
    drawn = [followed("gradcam", 16, 0), followed("layercam", 16, 5), followed(RANDOM, 16, 9)]
    true, noise, floor = score_methods(drawn, np.arange(16))
    assert true.insertion_gain is not None
    assert true.insertion_gain.low is not None
    assert true.insertion_gain.low > 0.02
    assert true.insertion_p is not None
    assert true.insertion_p < 0.01
    assert true.deletion.mean < floor.deletion.mean
    assert noise.insertion_p is not None
    assert noise.insertion_p > 0.05
    assert floor.insertion_gain is None
    assert true.seconds_per_image == 1.0
    said = true.to_json()
    assert said["insertion"] == true.insertion.mean
    assert said["insertion_gain_low"] == true.insertion_gain.low
    assert said["pointing"] is None
    areas = [each.insertion_area for each in drawn[0].curves]
    assert true.insertion.mean == pytest.approx(np.mean(areas))
    pairs = agreement_rows(drawn)
    assert [(row["a"], row["b"]) for row in pairs] == [
        ("gradcam", "layercam"),
        ("gradcam", RANDOM),
        ("layercam", RANDOM),
    ]
    assert draw_evaluation([true, noise, floor], title="t", subtitle="s").axes


def test_copies_are_no_further_evidence() -> None:
    drawn = [followed("gradcam", 12, 0), followed(RANDOM, 12, 9)]
    doubled = [replace(each, curves=each.curves * 2, cells=each.cells * 2) for each in drawn]
    once = score_methods(drawn, np.arange(12))[0]
    twice = score_methods(doubled, np.tile(np.arange(12), 2))[0]
    assert once.insertion_gain == pytest.approx(twice.insertion_gain)


def test_maps_that_random_weights_give_too_are_told() -> None:
    cells = tuple(np.random.default_rng(i).random((4, 4)) for i in range(12))
    others = tuple(np.random.default_rng(99 + i).random((4, 4)) for i in range(12))
    curves = followed(RANDOM, 12, 0).curves
    stuck = MapsOfMethod("gradcam", curves, cells, tuple(zip(cells, cells, strict=True)))
    moved = MapsOfMethod("layercam", curves, cells, tuple(zip(cells, others, strict=True)))
    floor = MapsOfMethod(RANDOM, curves, cells)
    one, other, last = score_methods([stuck, moved, floor], np.arange(12))
    assert one.unchanged is not None
    assert one.unchanged.mean == pytest.approx(1)
    assert other.unchanged is not None
    assert abs(other.unchanged.mean) < 0.3
    assert last.unchanged is None


@pytest.mark.parametrize(
    ("box", "hit"),
    [(Box(40, 40, 60, 60), True), (Box(0, 0, 9, 9), False), (Box(49, 49, 64, 64), True)],
)
def test_a_box_is_pointed_at_within_one_cell(box: Box, hit: bool) -> None:
    from analyze.explanation.evaluation.measured_maps import _points_at

    place = place_of(tiny_backbone().preprocessing, 64, 64)
    cells = np.zeros((8, 8))
    cells[5, 5] = 1  # its middle lies at about x 43, y 43
    shown = Shown("a", torch.zeros(3, SIZE, SIZE), 0, place, box)
    assert _points_at(cells, shown) is hit


def test_boxes_are_read_or_refused_in_one_line(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "boxes.csv"  # type: ignore[operator]
    path.write_text("id,left,top,right,bottom\na,1,2,3,4\n")
    assert read_boxes(path) == {"a": Box(1, 2, 3, 4)}
    assert read_boxes(None) == {}
    for text, why in (
        ("id,left,top,right\na,1,2,3\n", "no column 'bottom'"),
        ("id,left,top,right,bottom\na,1,2,x,4\n", "could not convert"),
        ("id,left,top,right,bottom\na,3,2,1,4\n", "the box of a has no inside"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=why):
            read_boxes(path)
    with pytest.raises(UsageError, match="No such file"):
        read_boxes(path.with_name("none.csv"))
    with pytest.raises(ValueError, match="no inside"):
        boxes_of([{"id": "a", "left": "1", "top": "1", "right": "1", "bottom": "2"}])


def test_methods_are_parted_or_refused_in_one_line() -> None:
    usual = ExplanationMethods()
    assert usual.by_default
    assert not ExplanationMethods(["gradcam"]).by_default
    assert (usual.maps, usual.shares) == (("gradcam",), ())
    pytest.importorskip("shap")
    every = ExplanationMethods(evaluate=True)
    assert every.maps == ("gradcam", "hirescam", "layercam")
    assert every.shares == ("shap", "superpixels")
    with pytest.raises(UsageError, match="no method 'lime': choose one of gradcam"):
        ExplanationMethods(["lime"]).check()
