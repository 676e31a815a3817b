"""Sheets show what the maps hold, at its place, and say where there is nothing to show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from analyze.explanation import sheets
from analyze.explanation.explanation import EMPTIED, UNMOVED, Explanation, explain
from analyze.explanation.placement import Placement
from analyze.explanation.questions import Question, Subject
from analyze.explanation.saliency_maps import METHODS
from analyze.explanation.targets import Target, neighbor_target


@pytest.fixture
def target() -> Target:
    names = ("watch, wristwatch", "mug")
    return Target("head", "logit", names, names, lambda v: v, lambda v: v.argmax(axis=1))


@pytest.fixture
def found() -> Explanation:
    """A picture 200 x 100 of which the middle was seen; its upper right cell is the highest."""
    cells = np.array([[0, 3], [0, 0]], np.float32)
    subject = Subject("a/b.jpg", np.ones(2, np.float32), 0, "mug")
    return Explanation(
        Question(subject, 0, 1, 0.125, 0.75),
        1.5,
        {"gradcam": cells},
        True,
        Placement(50, 0, 150, 100, 200, 100),
        Image.new("RGB", (200, 100), (40, 40, 40)),
        1.0,
    )


def words_of(figure: object) -> str:
    texts = [text.get_text() for axes in figure.axes for text in (*axes.texts, axes._left_title)]  # type: ignore[attr-defined]
    return "\n".join(texts)


def test_a_page_says_what_was_asked_and_answered(found: Explanation, target: Target) -> None:
    (page,) = sheets.pages_of([found], "gradcam", replace(target, name="pretrained"), "subtitle")
    words = words_of(page)
    (own,) = sheets.pages_of([found], "gradcam", target, "subtitle")
    assert "why watch, wristwatch?" in words_of(own), "a label of a user may hold a comma"
    for said in ("true: mug", "why watch?", "highest at x 125, y 25", "predicted: mug"):
        assert said in words
    assert "probability 0.75" in words
    assert "watch: 0.12" in words
    assert len(page.axes) == 3


def test_what_is_empty_is_said_and_not_drawn(found: Explanation, target: Target) -> None:
    empty = replace(found, maps={"gradcam": np.zeros((2, 2), np.float32)})
    assert (empty.why_empty("gradcam"), empty.peak("gradcam")) == (EMPTIED, None)
    unmoved = replace(found, moved=False)
    assert (unmoved.why_empty("gradcam"), unmoved.peak("gradcam")) == (UNMOVED, None)
    assert (found.why_empty("gradcam"), found.peak("gradcam")) == (None, (125, 25))
    (page,) = sheets.pages_of([empty], "gradcam", target, "subtitle")
    words = words_of(page)
    assert "not shown" in words
    assert "the map is empty" in words.replace("\n", " ")


def test_many_go_on_pages_of_twelve(found: Explanation, target: Target) -> None:
    pages = list(sheets.pages_of([found] * 25, "gradcam", target, "subtitle"))
    assert [len(page.axes) for page in pages] == [36, 36, 3]
    assert (sheets.pages_needed(12), sheets.pages_needed(13)) == (1, 2)


def test_colors_are_bright_at_the_peak_and_pale_where_unseen() -> None:
    drawn = np.full((20, 40), np.nan)
    drawn[:, 10:30] = 0
    drawn[5:8, 20:23] = 1
    colored = np.asarray(sheets.colored(drawn)).astype(int)
    assert colored[6, 21].sum() > colored[15, 15].sum() + 200
    assert tuple(colored[0, 0]) == sheets.UNSEEN
    picture = Image.new("RGB", (40, 20), (200, 40, 40))
    laid = np.asarray(sheets.overlaid(picture, drawn, (100, 100))).astype(int)
    gray = int(picture.convert("L").getpixel((0, 0)))  # type: ignore[arg-type]
    assert tuple(laid[15, 20]) == (gray,) * 3
    assert laid[10, 2].min() > gray + 50
    assert np.ptp(laid[6, 21]) > 100  # color is the map's alone


def test_every_target_and_method_has_words(found: Explanation, target: Target) -> None:
    pair = neighbor_target(["x/first.jpg"], np.ones((1, 2), np.float32))
    asked = replace(found, question=Question(found.question.subject, 0))
    (page,) = sheets.pages_of([asked], "gradcam", pair, "subtitle")
    assert "like first.jpg?" in words_of(page)
    cluster = replace(target, name="cluster", of="similarity")
    (page,) = sheets.pages_of([found], "gradcam", cluster, "subtitle")
    assert "is in mug" in words_of(page)
    own = replace(target, name="pretrained")
    assert len({sheets.title_of(each) for each in (target, own, pair, cluster)}) == 4
    assert all(spec.title and spec.description for spec in METHODS.values())


def test_pictures_that_are_not_to_be_had_are_passed_over(target: Target) -> None:
    from small_catalogs import tiny_backbone

    from analyze.explanation.feature_taps import Tap

    backbone = tiny_backbone()
    model = backbone.model
    tap = Tap(lambda pixels: (model[:2](pixels), model[2:]), 10, 10)  # type: ignore[index]
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (50, 40, 3), dtype=np.uint8)) for _ in range(5)
    ]
    subjects = [Subject(str(i), np.ones(8, np.float32), i) for i in range(5)]
    steps: list[tuple[int, int]] = []
    found = explain(
        backbone,
        tap,
        target,
        [Question(subject, 1) for subject in subjects],
        lambda subject: None if subject.row == 2 else pictures[subject.row or 0],
        methods=("gradcam", "hirescam"),
        batch_size=2,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert [each.question.subject.id for each in found] == ["0", "1", "3", "4"]
    assert steps == [(2, 5), (4, 5), (5, 5)]
    for each, i in zip(found, (0, 1, 3, 4), strict=True):
        assert each.value == pytest.approx(float(backbone.embed_pictures([pictures[i]])[0, 1]))
        # of a mean over places the two are one map: the second channel, where it is positive
        np.testing.assert_allclose(each.maps["gradcam"], each.maps["hirescam"], atol=1e-7)
