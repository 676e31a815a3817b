"""The golden vectors are those of timm, Pillow and torchvision alone, and of the rules."""

from __future__ import annotations

import numpy as np
import pytest
from golden_vectors import FOLDER, MODELS, PICTURES, independent_vectors, upright_rgb, weights_path
from PIL import Image

from extract.backbones.registry import load_backbone
from extract.images.decoding import decode_picture
from extract.verification.recomputation import embed_golden, golden_vectors

pytestmark = pytest.mark.numbers


def cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: np.ndarray = (one * other).sum(axis=1) / lengths
    return found


@pytest.mark.parametrize("name", PICTURES)
def test_committed_picture_is_the_one_drawn_and_a_plain_conversion_gets_it_wrong(name: str) -> None:
    drawn, committed = PICTURES[name](), Image.open(FOLDER / name)
    assert (drawn.size, drawn.mode) == (committed.size, committed.mode)
    assert committed.getexif() == drawn.getexif()
    assert committed.convert("RGBA").tobytes() == drawn.convert("RGBA").tobytes()
    assert (FOLDER / name).stat().st_size < 5000
    right = upright_rgb(FOLDER / name)
    assert decode_picture((FOLDER / name).read_bytes()).tobytes() == right.tobytes()
    plain = committed.convert("RGB")
    far = plain.size != right.size or np.abs(np.asarray(plain, int) - np.asarray(right)).mean() > 3
    assert far


@pytest.mark.parametrize("name", MODELS)
def test_committed_vectors_are_those_of_an_independent_computation(name: str) -> None:
    weights = weights_path(name)
    if weights is None:
        pytest.skip(f"the package of {name} is not installed")
    backbone = load_backbone(name)
    known = golden_vectors(backbone.weights["sha256"])
    assert known is not None
    names, vectors = known
    assert names == tuple(PICTURES)
    assert vectors.shape == (4, 1280)
    assert cosine(vectors, independent_vectors(name, weights)).min() >= 0.999999
    assert cosine(vectors, embed_golden(backbone, names)).min() >= 0.999999
    plain = [Image.open(FOLDER / each).convert("RGB") for each in names]
    assert cosine(vectors, backbone.embed_pictures(plain)).max() < 0.999


def test_other_weights_have_no_golden_vectors() -> None:
    drawn = load_backbone("efficientnet_lite0", weights="random")
    assert golden_vectors(drawn.weights["sha256"]) is None
    assert golden_vectors("pictures") is None
