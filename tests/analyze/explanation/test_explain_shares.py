"""Shares that add up, on models whose true shares are known; drawn and averaged as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from small_catalogs import tiny_backbone

from analyze.explanation.evaluation.figure import draw_features, draw_places
from analyze.explanation.placement import place_of
from analyze.explanation.questions import Question, Subject
from analyze.explanation.shapley import global_importance as totals
from analyze.explanation.shapley import sheets as share_sheets
from analyze.explanation.shapley.attributions import (
    ATTRIBUTIONS,
    attribute_patches,
    attribute_pixels,
)
from analyze.explanation.shapley.shap_values import (
    Sampling,
    Shares,
    compute_shap_values,
    read_background,
    worth_of_features,
)
from analyze.explanation.targets import Target
from extract.backbones.registry import Backbone

pytest.importorskip("shap")
pytest.importorskip("skimage")
SIZE = 32


def linear_backbone(weights: torch.Tensor) -> Backbone:
    """A backbone of one number: the weighted sum of a picture's pixels."""

    class Summing(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return (pixels * weights).sum(dim=(1, 2, 3))[:, None]

    return replace(tiny_backbone(), network=Summing().eval(), n_dims=1)


def same(vectors: torch.Tensor) -> torch.Tensor:
    return vectors


@pytest.fixture(scope="module")
def weights() -> torch.Tensor:
    """Only a square in the upper left counts."""
    found = torch.zeros(3, SIZE, SIZE)
    found[:, 4:12, 4:12] = 0.1
    return found


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    """Nine squares of different colors, so that patches have borders to follow."""
    colors = torch.rand(3, 3, 3, generator=torch.manual_seed(0))
    wide = torch.nn.functional.interpolate(colors[None], size=SIZE, mode="nearest")[0]
    return 2 * wide - 1


def test_pixels_of_a_linear_model_get_exactly_their_part(
    weights: torch.Tensor, picture: torch.Tensor
) -> None:
    against = torch.rand(1, 3, SIZE, SIZE, generator=torch.manual_seed(1))
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    found = attribute_pixels(linear_backbone(weights), same, picture, 0, against, 50, seed=3)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    expected = (weights * (picture - against[0])).sum(dim=0).numpy()
    np.testing.assert_allclose(found.signed, expected, atol=1e-5)
    assert found.value == pytest.approx(float((weights * picture).sum()), abs=1e-4)
    assert found.base == pytest.approx(float((weights * against[0]).sum()), abs=1e-4)
    assert found.error is not None
    assert found.error < 1e-4


def test_the_sum_comes_nearer_with_samples() -> None:
    backbone = tiny_backbone()
    drawn = torch.manual_seed(0)
    pictures = torch.randn(8, 3, SIZE, SIZE, generator=drawn)
    against = 0.5 * torch.randn(10, 3, SIZE, SIZE, generator=drawn)
    medians = []
    for n_samples in (10, 250):
        errors = [
            attribute_pixels(backbone, same, each, 1, against, n_samples, seed).error
            for seed, each in enumerate(pictures)
        ]
        medians.append(float(np.median([error for error in errors if error is not None])))
    assert medians[1] < medians[0] / 2
    again = [
        attribute_pixels(backbone, same, pictures[0], 1, against, 20, 5).signed for _ in range(2)
    ]
    np.testing.assert_array_equal(*again)


@pytest.mark.usefixtures("shap_uncompiled")
def test_patches_add_up_and_those_that_count_have_it_all(picture: torch.Tensor) -> None:
    weights = torch.zeros(3, SIZE, SIZE)
    weights[0, 2:9, 2:9] = 1.0  # inside the first of the nine squares
    backbone = linear_backbone(weights)
    found = attribute_patches(backbone, same, picture, 0, picture[None], 400, seed=0)
    assert found.error is not None
    assert found.error < 1e-5
    elsewhere = found.signed.copy()
    elsewhere[:11, :11] = 0
    assert np.abs(found.signed).sum() > 0.1
    assert np.abs(elsewhere).sum() < 0.05 * np.abs(found.signed).sum()
    plain = attribute_patches(backbone, same, torch.zeros(3, SIZE, SIZE), 0, picture[None], 50, 0)
    assert not plain.signed.any()
    assert plain.error is None


def test_numbers_of_a_linear_head_get_exactly_their_part() -> None:
    random = np.random.default_rng(0)
    head = torch.from_numpy(random.normal(size=(6, 3)))
    vectors, against = random.normal(size=(5, 6)), random.normal(size=(1, 6))
    columns = np.array([0, 2, 2, 1, 0])
    shares, errors = worth_of_features(
        lambda v: v @ head, vectors, columns, against, n_samples=20, seed=0
    )
    expected = (vectors - against) * head.numpy().T[columns]
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    assert errors.max() < 1e-4


def shares_of(backbone: Backbone, target: Target) -> list[Shares]:
    pictures = [Image.new("RGB", (48, 40), color) for color in ("white", "navy", "tan")]
    subjects = [Subject(f"{i}.jpg", np.ones(1), picture=p) for i, p in enumerate(pictures)]
    questions = [Question(s, i % 2, 0, 0.5, 0.5) for i, s in enumerate(subjects)]
    done: list[int] = []
    found = compute_shap_values(
        backbone,
        target,
        questions,
        lambda s: None if s.id == "1.jpg" else s.picture,
        "shap",
        Sampling(read_background(backbone, pictures[:1]), n_samples=20, seed=0),
        progress=done.append,
    )
    assert done == [1, 2, 3]
    return found


def test_shares_are_drawn_and_averaged_class_by_class(
    weights: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = linear_backbone(weights)
    target = Target(
        "head",
        "logit",
        ("bags", "cups"),
        ("bags", "cups"),
        lambda v: torch.cat([v, -v], dim=1),
        lambda v: np.zeros(len(v), int),
    )
    found = shares_of(backbone, target)
    assert [each.question.subject.id for each in found] == ["0.jpg", "2.jpg"]
    white, tan = (each.to_json(target, "x.png") for each in found)
    assert white["empty"] == "nothing adds to it or takes from it"
    assert white["peak"] is None
    assert tan["empty"] is None
    assert tan["additivity_error"] < 1e-3
    (page,) = share_sheets.pages_of(found, "shap", target, "tiny")
    assert page.axes
    monkeypatch.setattr(share_sheets, "A_PAGE", 1)
    for number, page in enumerate(share_sheets.pages_of(found, "shap", target, "tiny"), 1):
        written = [text.get_text() for text in page.findobj(Text)]
        assert f"{number}" in written, "pictures are numbered through all pages"
    assert number == 2
    total = totals.total(found, target)
    assert total.counts == {"bags": 2}
    both = np.stack([each.attribution.signed for each in found])
    assert total.absolute["bags"] == pytest.approx(np.abs(both).sum() / 2, rel=1e-5)
    assert total.signed["bags"] == pytest.approx(both.sum() / 2, rel=1e-5)
    assert len(list(totals.place_rows(total))) == 1 + 14 * 14
    assert list(totals.class_rows(total))[1][:2] == ["bags", 2]
    assert draw_places(total.places, total.counts, title="t", subtitle="s").axes
    absolute, signed = totals.of_features(
        np.array([[1.0, -3.0], [1.0, 1.0], [0.0, 2.0]]), np.array([0, 0, 1]), target
    )
    assert absolute["bags"].tolist() == [1.0, 2.0]
    assert signed["bags"].tolist() == [1.0, -1.0]
    header, first, *_ = totals.feature_rows(absolute, signed)
    assert dict(zip(header, first, strict=True)) == {
        "class": "bags",
        "feature": 1,
        "mean_absolute": 2.0,
        "mean_signed": -1.0,
    }
    assert draw_features(absolute, title="t", subtitle="s").axes


def test_the_place_that_adds_most_is_found_on_the_picture(weights: torch.Tensor) -> None:
    backbone = linear_backbone(weights)
    made = ATTRIBUTIONS["shap"].attribute(
        backbone, same, torch.ones(3, SIZE, SIZE), 0, torch.zeros(1, 3, SIZE, SIZE), 10, 0
    )
    place = place_of(backbone.preprocessing, 64, 64)
    thumbnail = Image.new("RGB", (64, 64))
    found = Shares(Question(Subject("a", np.ones(1)), 0), "shap", made, place, thumbnail)
    assert found.peak is not None
    x, y = found.peak
    low, high = (place.left + (place.right - place.left) * edge / SIZE for edge in (4, 12))
    assert low <= x <= high
    assert low <= y <= high
