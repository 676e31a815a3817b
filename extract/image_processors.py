"""Image processors of transformers, spelled as transforms of ours."""

from __future__ import annotations

import math
from typing import Any

from extract.errors import WeightsError
from extract.preprocessing import Preprocessing

INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, as transformers keeps them."""

CONVNEXT_WHOLE = 384
"""From this size on ConvNeXt's processor shows the whole picture, squashed."""


def read_preprocessing(processor: Any, repo: str) -> Preprocessing:
    """Spell what an image processor of transformers does as one of our transforms.

    Raises
    ------
    WeightsError
        When it does something that is not built here; nothing is done in its place.
    """
    found = _geometry(processor) if processor.do_resize else None
    scaled = processor.do_rescale and math.isclose(processor.rescale_factor, 1 / 255)
    if found is None or not scaled or int(processor.resample) not in INTERPOLATIONS:
        raise WeightsError(
            f"{repo} prepares pictures in a way that is not built here: take a model of timm, "
            "python -m extract --model timm:NAME"
        )
    resize, resized, size = found
    return Preprocessing(
        size=size,
        resize=resize,
        crop_pct=_share(size, resized),
        interpolation=INTERPOLATIONS[int(processor.resample)],
        mean=tuple(processor.image_mean) if processor.do_normalize else (0.0, 0.0, 0.0),
        std=tuple(processor.image_std) if processor.do_normalize else (1.0, 1.0, 1.0),
    )


def _geometry(processor: Any) -> tuple[str, int, int] | None:
    """Give geometry, pixels a side after resizing and after cutting; None for any other."""
    size = {k: v for k, v in dict(processor.size).items() if v is not None}
    cut = dict(processor.crop_size or {}) if processor.do_center_crop else {}
    crop_pct = getattr(processor, "crop_pct", None)
    if cut.get("height") != cut.get("width"):
        return None
    if set(size) == {"shortest_edge"}:
        edge = int(size["shortest_edge"])
        if crop_pct:
            whole = edge >= CONVNEXT_WHOLE
            return ("squash", edge, edge) if whole else ("crop", int(edge / crop_pct), edge)
        return ("crop", edge, int(cut["height"])) if cut else None
    if set(size) == {"height", "width"} and size["height"] == size["width"]:
        edge = int(size["height"])
        return "squash", edge, int(cut.get("height", edge))
    return None


def _share(size: int, resized: int) -> float:
    """Give the share that makes ``floor(size / share)`` exactly what a picture is resized to."""
    share = size / resized
    return share if math.floor(size / share) == resized else size / (resized + 0.5)
