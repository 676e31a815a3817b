"""Image processors of transformers, spelled as transforms of ours where they do the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from extract.errors import WeightsError, in_one_line
from extract.transforms.preprocessing import Preprocessing

INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, as transformers keeps them."""

CONVNEXT_WHOLE = 384
"""From this size on ConvNeXt's processor shows the whole picture, squashed."""

MOST_PIXELS = 4096

MEAN_APART = 0.001
LEVELS_APART = 3
"""Of 255, at a single place: torchvision's weights have fewer bits than Pillow's."""

READ = frozenset(
    "do_resize size resample default_to_square do_center_crop crop_size crop_pct do_rescale "
    "rescale_factor do_normalize image_mean image_std do_convert_rgb".split()
)
"""What is looked at here; of a processor that does something else the rest is named."""

OF_CALLS = frozenset(
    "image_processor_type processor_class auto_map data_format input_data_format return_tensors "
    "device disable_grouping return_metadata image_seq_length model_input_names".split()
)
"""What has no bearing on pixels."""


class _Unbuilt(Exception):
    """What a processor does is not built here: which step."""


def read_preprocessing(processor: Any, repo: str) -> Preprocessing:
    """Spell what an image processor of transformers does as one of our transforms.

    It then prepares a few drawn pictures itself: any step that is not read here, known or not,
    shows in its pixels.

    Raises
    ------
    WeightsError
        When it does something that is not built here; nothing is done in its place.
    """
    try:
        spelled = _spelled(processor)
        _refuse_other_pixels(processor, spelled)
    except Exception as error:
        step = str(error) if isinstance(error, _Unbuilt) else in_one_line(error)
        raise WeightsError(
            f"{repo} prepares pictures in a way that is not built here "
            f"({type(processor).__name__}: {step}): take a model of timm, "
            "python -m extract --model timm:NAME"
        ) from error
    return spelled


def _spelled(processor: Any) -> Preprocessing:
    """Read the steps that there are names for."""

    def setting(name: str) -> Any:
        return getattr(processor, name, None)

    if not setting("do_resize"):
        raise _Unbuilt("do_resize is off")
    if not (setting("do_rescale") and math.isclose(setting("rescale_factor"), 1 / 255)):
        raise _Unbuilt("do_rescale is not by 1/255")
    if setting("resample") not in INTERPOLATIONS:
        raise _Unbuilt(f"resample {setting('resample')}")
    resize, resized, size = _geometry(processor)
    if not 1 <= size <= MOST_PIXELS or not 1 <= resized <= MOST_PIXELS:
        raise _Unbuilt(f"{size} of {resized} pixels a side")
    normalised = bool(setting("do_normalize"))
    return Preprocessing(
        rounding="torchvision" if setting("backend") == "torchvision" else "pillow",
        size=size,
        resize=resize,
        crop_pct=_share(size, resized),
        interpolation=INTERPOLATIONS[int(setting("resample"))],
        mean=_of_channels(setting("image_mean")) if normalised else (0.0, 0.0, 0.0),
        std=_of_channels(setting("image_std")) if normalised else (1.0, 1.0, 1.0),
    )


def _geometry(processor: Any) -> tuple[str, int, int]:
    """Give geometry, pixels a side after resizing and after cutting."""
    size = _sides(processor, "size")
    cut = _sides(processor, "crop_size") if getattr(processor, "do_center_crop", None) else {}
    crop_pct = getattr(processor, "crop_pct", None)
    if cut.get("height") == cut.get("width"):
        if set(size) == {"shortest_edge"}:
            edge = int(size["shortest_edge"])
            if crop_pct:
                whole = edge >= CONVNEXT_WHOLE
                return ("squash", edge, edge) if whole else ("crop", int(edge / crop_pct), edge)
            if cut:
                return "crop", edge, int(cut["height"])
        if set(size) == {"height", "width"} and size["height"] == size["width"]:
            edge = int(size["height"])
            return "squash", edge, min(int(cut.get("height", edge)), edge)
    raise _Unbuilt(f"size {size}" + (f", crop_size {cut}" if cut else ""))


def _sides(processor: Any, name: str) -> dict[str, Any]:
    sides = getattr(processor, name, None) or {}
    return {k: v for k, v in dict(sides).items() if v is not None}


def _of_channels(value: Any) -> tuple[float, ...]:
    """Give a number for each channel, where one may stand for all."""
    return tuple(map(float, np.broadcast_to(value, 3)))


def _share(size: int, resized: int) -> float:
    """Give the share that makes ``floor(size / share)`` exactly what a picture is resized to."""
    share = size / resized
    return share if math.floor(size / share) == resized else size / (resized + 0.5)


def _refuse_other_pixels(processor: Any, spelled: Preprocessing) -> None:
    """Compare a processor's own pixels with those of the transform."""
    transform = spelled.transform()
    for picture in _probes(spelled):
        ours = transform(picture).numpy()
        given: Mapping[str, Any] = processor(images=[picture], return_tensors="np")
        theirs = np.asarray(given["pixel_values"][0])
        if theirs.shape != ours.shape:
            raise _Unbuilt(f"{_other_steps(processor)}, {theirs.shape} for {ours.shape}")
        apart = np.abs(theirs - ours)
        if not (
            apart.mean() <= MEAN_APART
            and (apart * np.reshape(spelled.std, (3, 1, 1))).max() <= LEVELS_APART / 255
        ):
            raise _Unbuilt(f"{_other_steps(processor)}, pixels differ by {apart.mean():.3g}")


def _other_steps(processor: Any) -> str:
    """Name what a processor has in addition to what is read here."""
    others = {k: v for k, v in processor.to_dict().items() if k not in READ | OF_CALLS and v}
    flags = [name for name in others if name.startswith("do_")]
    return ", ".join(flags or others) or "a step without a name"


def _probes(spelled: Preprocessing) -> Iterator[Any]:
    """Draw pictures that no step leaves alone: of different aspects, larger and smaller.

    Smooth colors, so that two ways of resizing agree; one in a wide margin, one nearly black, for
    steps that look at what is seen. Of the first an odd number of columns is cut off, half of
    which is rounded down by some and up by others.
    """
    from PIL import Image

    edge = math.floor(spelled.size / spelled.crop_pct)
    large = edge + edge // 3
    sides = [(spelled.size + 4 * (edge // 8) + 3, edge), (edge // 2 + 5, large), (60, 44), (17, 90)]
    down, across = np.mgrid[0:1:40j, 0:1:40j]
    for number, (width, height) in enumerate([*sides, (large, large - 1)]):
        waves = [np.sin((3 + c) * across + (5 - c) * down + c + number) for c in range(3)]
        pixels = 128 + 100 * np.stack(waves, axis=-1)
        if number == 1:
            pixels[(abs(down - 0.5) > 0.2) | (abs(across - 0.5) > 0.25)] = 255
        if number == 2:
            pixels /= 8
        drawn = Image.fromarray(pixels.astype(np.uint8))
        yield drawn.resize((width, height), Image.Resampling.BICUBIC)
