"""Every image processor of the installed transformers is spelled truly, or refused by name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image

from extract.backbones.image_processors import read_preprocessing
from extract.errors import WeightsError

pytestmark = pytest.mark.slow

NAMES = [name for name in dir(transformers) if re.search(r"ImageProcessor(Pil|Fast)?$", name)]
REFUSED = r"^acme/x prepares pictures in a way that is not built here \({name}: .+\): .*timm:NAME$"


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Draw something like a photograph: shapes in color on white, with a little grain."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 7, 3), np.uint8)
    shapes = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(shapes).astype(int) + rng.integers(-4, 5, (height, width, 3))
    pixels[: height // 6] = pixels[:, : width // 5] = 255
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


PICTURES = [photo(300, 220), photo(90, 260, 1), photo(480, 60, 2), photo(33, 41, 3)]


def built(name: str, **settings: Any) -> Any:
    """Build a processor; None where that needs a file, another library or settings."""
    try:
        return getattr(transformers, name)(**settings)
    except Exception:  # noqa: BLE001 - each has reasons of its own
        return None


def is_spelled(processor: Any, name: str) -> bool:
    """Hold our pixels against its own; False where it is refused in one line."""
    try:
        ours = read_preprocessing(processor, "acme/x")
    except WeightsError as error:
        if re.search(REFUSED.replace("{name}", name), str(error)):
            return False
        raise
    for picture in PICTURES:
        theirs = processor(images=[picture], return_tensors="np")["pixel_values"][0]
        pixels = ours.transform()(picture).numpy()
        assert pixels.shape == theirs.shape
        assert np.abs(pixels - theirs).mean() <= 0.001
    return True


def settings_of(processor: Any) -> list[dict[str, Any]]:
    """Turn each switch of a processor over, at a small size, and take other sizes."""
    said = processor.to_dict()
    flags = [{k: not v} for k, v in said.items() if isinstance(v, bool)]
    small = {"size": dict.fromkeys(dict(said.get("size") or {}), 48), "crop_size": 40}
    sizes = [
        {"size": {"shortest_edge": 40}},
        {"size": {"height": 48, "width": 32}},
        {"size": {"shortest_edge": 40, "longest_edge": 60}},
        {"size": {"shortest_edge": 64}, "do_center_crop": True, "crop_size": 49},
        {"resample": 0},
        {"image_mean": 0.5, "image_std": 0.5},
    ]
    return [small | changed for changed in flags + sizes]


@pytest.mark.parametrize("name", NAMES)
def test_pixels_equal_the_processors_own_or_it_is_refused_by_name(name: str) -> None:
    processor = built(name)
    if processor is None:
        return
    is_spelled(processor, name)
    for settings in settings_of(processor):
        changed = built(name, **settings)
        if changed is not None:
            is_spelled(changed, name)


NAMED: dict[str, dict[str, Any]] = {
    "dinov2": {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
    "a share that floats miss": {"size": {"shortest_edge": 354}, "crop_size": 224},
    "an odd number cut off": {"size": {"shortest_edge": 61}, "crop_size": 40},
    "not normalized": {"size": {"shortest_edge": 48}, "crop_size": 40, "do_normalize": False},
}


@pytest.mark.parametrize("suffix", ["", "Pil"])
@pytest.mark.parametrize("settings", NAMED)
def test_crops_are_spelled_for_both_ways_of_resizing(settings: str, suffix: str) -> None:
    name = f"BitImageProcessor{suffix}"
    assert is_spelled(built(name, **NAMED[settings]), name)


def test_most_of_the_classifiers_processors_are_spelled() -> None:
    names = ("ViT", "DeiT", "Beit", "Bit", "CLIP", "ConvNext", "Pvt", "PoolFormer", "MobileNetV2")
    for name in names:
        read_preprocessing(built(f"{name}ImageProcessor"), "acme/x")
