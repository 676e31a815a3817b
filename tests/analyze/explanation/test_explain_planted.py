"""Pictures whose class is a drawn square: maps find the square, and say so where it was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from analyze.explanation import faithfulness
from analyze.explanation.class_targets import head_target
from analyze.explanation.evaluation.evaluation import score_methods
from analyze.explanation.evaluation.measured_maps import Drawing, Shown, evaluate
from analyze.explanation.explanation import Explanation, explain
from analyze.explanation.feature_taps import Tap, tap_of
from analyze.explanation.placement import place_of
from analyze.explanation.questions import Subject, ask
from analyze.head.assessment import assess_head
from analyze.head.prediction.head_file import StoredHead
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from extract.backbones.registry import Backbone, load_backbone
from extract.catalog.catalog import Level
from extract.storage.embeddings import EmbeddingSet

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_strengths")]

CLASSES = ("checked", "columns", "none", "rows")
WIDTH, HEIGHT, SIDE = 288, 224, 64
SEEN = (46, 14, 242, 210)
"""Left, top, right, bottom of what is left when the middle is cut out."""

CELL = 28
"""Pixels of the picture to a cell of the map."""

FOLLOWED = 10
"""Pictures whose maps are followed: of fewer no chance is reckoned."""

PLAN = Plan(
    n_folds=2,
    n_shuffles=1,
    head=HeadSpec(width=16),
    training=TrainingSpec(learning_rate=0.01, epochs=20, patience=4),
    n_resamples=200,
)
Drawn = tuple[Image.Image, tuple[int, int] | None]


def draw(kind: str, rng: np.random.Generator) -> Drawn:
    """A square at any place on a gray, spotted ground; without one the ground alone."""
    spots = Image.fromarray(rng.integers(90, 166, (28, 36, 3), dtype=np.uint8))
    pixels = np.array(spots.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
    x = int(rng.integers(SEEN[0], SEEN[2] - SIDE))
    y = int(rng.integers(SEEN[1], SEEN[3] - SIDE))
    if kind == "none":
        return Image.fromarray(pixels), None
    down, across = np.mgrid[:SIDE, :SIDE] // 8
    on, color = {
        "checked": ((down + across) % 2, (220, 30, 30)),
        "columns": (across % 2, (30, 30, 220)),
        "rows": (down % 2, (30, 200, 30)),
    }[kind]
    pixels[y : y + SIDE, x : x + SIDE] = np.where(on[..., None], color, 255)
    return Image.fromarray(pixels), (x, y)


def embedded(backbone: Backbone, pictures: Sequence[Image.Image]) -> np.ndarray:
    return np.concatenate(
        [backbone.embed_pictures(list(pictures[i : i + 16])) for i in range(0, len(pictures), 16)]
    )


@pytest.fixture(scope="module")
def planted() -> tuple[Backbone, EmbeddingSet, list[Drawn], np.ndarray]:
    """A backbone, pictures to teach, and 24 held out that hold a square."""
    rng = np.random.default_rng(0)
    backbone = load_backbone("efficientnet_lite0")
    codes = (np.arange(80) % 4).astype(np.int32)
    vectors = embedded(backbone, [draw(CLASSES[code], rng)[0] for code in codes])
    ids = tuple(f"{i:03}" for i in range(len(codes)))
    training_set = EmbeddingSet(ids, vectors, backbone.provenance, (Level("kind", CLASSES, codes),))
    held_out = [draw(kind, rng) for kind in ("checked", "columns", "rows") * 8]
    return (
        backbone,
        training_set,
        held_out,
        embedded(backbone, [picture for picture, _ in held_out]),
    )


@pytest.fixture(scope="module")
def tap(planted: tuple[Backbone, EmbeddingSet, list[Drawn], np.ndarray]) -> Tap:
    return tap_of(planted[0])


@pytest.fixture(scope="module")
def right_head(
    planted: tuple[Backbone, EmbeddingSet, list[Drawn], np.ndarray], few_strengths: None
) -> StoredHead:
    training_set = planted[1]
    return assess_head(training_set, plan=PLAN).stored(training_set.provenance)


def explained(
    backbone: Backbone, tap: Tap, stored: StoredHead, drawn: list[Drawn], vectors: np.ndarray
) -> list[Explanation]:
    target = head_target(stored, 0, "logit")
    each = zip(vectors, drawn, strict=True)
    subjects = [Subject(str(i), v, picture=d[0]) for i, (v, d) in enumerate(each)]
    questions = ask(target, subjects, None)
    return explain(backbone, tap, target, questions, lambda subject: subject.picture)


def share_on_square(found: list[Explanation], drawn: list[Drawn]) -> float:
    """How often the peak lies in the square grown by one cell."""
    hits = []
    for each, (_, corner) in zip(found, drawn, strict=True):
        peak = each.peak("gradcam")
        assert corner is not None
        hits.append(
            peak is not None
            and all(c - CELL <= p < c + SIDE + CELL for p, c in zip(peak, corner, strict=True))
        )
    return sum(hits) / len(hits)


def test_peaks_lie_on_the_square(
    planted: tuple[Backbone, EmbeddingSet, list[Drawn], np.ndarray],
    tap: Tap,
    right_head: StoredHead,
) -> None:
    backbone, _, held_out, vectors = planted
    found = explained(backbone, tap, right_head, held_out, vectors)
    said = [CLASSES[each.question.answer or 0] for each in found]
    right = [a == b for a, b in zip(said, ["checked", "columns", "rows"] * 8, strict=True)]
    assert sum(right) >= 0.9 * len(right)
    assert share_on_square(found, held_out) >= 0.95
    assert min(each.cosine for each in found) > 0.99999


@pytest.fixture
def coarse_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Follow maps in two steps: the areas differ by far more than so few change."""
    monkeypatch.setattr(faithfulness, "STEPS", 2)


def insertion_p(
    backbone: Backbone, tap: Tap, stored: StoredHead, drawn: list[Drawn], vectors: np.ndarray
) -> float:
    """How rarely chance lets maps do so much better than noise, by the areas under insertion."""
    target, asked = head_target(stored, 0, "logit"), head_target(stored, 0, "probability")
    columns = target.answer(vectors)
    transform = backbone.preprocessing.transform()
    shown = [
        Shown(
            str(i), transform(d[0]), int(columns[i]), place_of(backbone.preprocessing, *d[0].size)
        )
        for i, d in enumerate(drawn)
    ]
    nothing = torch.zeros(1, 3, 224, 224)
    drawing, done = Drawing(backbone, tap, target, nothing, 10, 0), []
    found = evaluate(drawing, asked, shown, ["gradcam"], progress=lambda *now: done.append(now))
    assert done[-1] == (2 * len(shown), 2 * len(shown))
    p = score_methods(found, np.arange(len(shown)))[0].insertion_p
    assert p is not None
    return p


@pytest.mark.usefixtures("coarse_curves")
def test_maps_of_the_square_beat_noise(
    planted: tuple[Backbone, EmbeddingSet, list[Drawn], np.ndarray],
    tap: Tap,
    right_head: StoredHead,
) -> None:
    backbone, _, held_out, vectors = planted
    assert insertion_p(backbone, tap, right_head, held_out[:FOLLOWED], vectors[:FOLLOWED]) < 0.01


@pytest.mark.usefixtures("coarse_curves")
def test_a_head_taught_noise_finds_no_square(
    planted: tuple[Backbone, EmbeddingSet, list[Drawn], np.ndarray], tap: Tap
) -> None:
    backbone, training_set, held_out, vectors = planted
    codes = np.random.default_rng(3).permutation(training_set.levels[0].codes)
    noise = replace(training_set, levels=(Level("kind", CLASSES, codes),))
    stored = assess_head(noise, plan=PLAN).stored(training_set.provenance)
    assert share_on_square(explained(backbone, tap, stored, held_out, vectors), held_out) < 0.8
    assert insertion_p(backbone, tap, stored, held_out[:FOLLOWED], vectors[:FOLLOWED]) > 0.01
