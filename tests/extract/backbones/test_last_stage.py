"""A backbone parted before its last stage gives the vectors of the whole, and only that trains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_catalogs import tiny_backbone

from extract.backbones.kept_backbones import load_from_provenance
from extract.backbones.partial_finetuning import (
    find_last_stage,
    stage_inputs,
    tuned,
    tuned_identity,
    untuned_identity,
)
from extract.backbones.registry import load_backbone
from extract.errors import UsageError, WeightsDiffer, WeightsError
from extract.storage.embeddings import Provenance

pytestmark = pytest.mark.slow

STAGES = {
    "efficientnet_lite0": "blocks.6",
    "cvt_13": "model.cvt.encoder.stages.2",
    "timm:test_convnext": "stages.3",
    "timm:test_vit": "blocks.5",
}


@pytest.mark.parametrize(("name", "stage"), STAGES.items())
def test_both_parts_together_are_the_whole(name: str, stage: str) -> None:
    backbone = load_backbone(name, weights="random")
    parted = find_last_stage(backbone)
    assert parted.name == stage
    size = backbone.preprocessing.size
    pixels = torch.randn(3, 3, size, size, generator=torch.manual_seed(0))
    inputs = stage_inputs(backbone, parted.name, pixels)
    assert len(inputs) == 3
    with torch.inference_mode():
        whole, found = backbone.model(pixels), parted.vectors(inputs)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


def test_what_is_trained_is_all_that_follows_and_nothing_before() -> None:
    backbone = load_backbone("timm:test_convnext", weights="random")
    parted = find_last_stage(backbone)
    assert parted.weights
    assert all(name.startswith(("stages.3.", "head.norm")) for name in parted.weights)
    own = parted.fresh()
    size = backbone.preprocessing.size
    own.model(torch.zeros(1, 3, size, size)).sum().backward()
    got = {name for name, p in own.model.named_parameters() if p.grad is not None}
    assert got == set(parted.weights)
    assert not any(p.requires_grad for p in backbone.model.parameters())


def test_a_trained_stage_is_another_identity() -> None:
    backbone = load_backbone("timm:test_convnext", weights="random")
    parted = find_last_stage(backbone)
    state = {name: values + 0.1 for name, values in parted.state().items()}
    other = tuned(backbone, state)
    plain, trained = backbone.provenance, other.provenance
    assert trained.identity == tuned_identity(plain.identity, state)
    assert untuned_identity(trained.identity) == plain.identity
    assert trained.identity_sha256 != plain.identity_sha256
    size = backbone.preprocessing.size
    pixels = torch.randn(2, 3, size, size, generator=torch.manual_seed(0))
    with torch.inference_mode():
        expected = parted.restored(state).vectors(stage_inputs(backbone, parted.name, pixels))
    np.testing.assert_allclose(other.embed(pixels), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(other.embed(pixels), backbone.embed(pixels))
    with pytest.raises(WeightsError, match="predict --head FILE --images DIR"):
        load_from_provenance(Provenance(trained.identity, (), {"model": backbone.name}))
    with pytest.raises(WeightsDiffer, match="of another backbone"):
        tuned(load_backbone("timm:test_vit", weights="random"), state)
    with pytest.raises(WeightsDiffer, match="of another backbone"):
        tuned(backbone, {name: values[..., :1] for name, values in state.items()})


def test_a_model_without_stages_is_refused() -> None:
    with pytest.raises(UsageError, match="the last stage of tiny cannot be trained apart"):
        find_last_stage(tiny_backbone())
