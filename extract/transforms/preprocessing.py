"""How a picture is made ready for a backbone: its geometry, then the scale of its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from extract.errors import one_of

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

WHITE = (255, 255, 255)
ROUNDINGS = ("timm", "pillow", "torchvision")


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a picture before a model sees it: its geometry, and the scale of its numbers.

    Parameters
    ----------
    size : int
        Pixels a side of what the model sees.
    resize : str
        ``crop``: the shorter side is resized to ``size / crop_pct``, the center is cut out.
        ``squash``: both sides are, whatever the aspect; then the center is cut out.
        ``pad``: the longer side is, and what is missing is filled with white.
    crop_pct : float
    interpolation : str
    mean, std : tuple of float
        Of the red, green and blue channel, on a scale of 0 to 1.
    rounding : str
        ``timm``: axes are resized in Pillow's order, and where an odd number of pixels is cut off,
        half of them is rounded to the even number. The processors of transformers round it down:
        ``pillow``, by that order; ``torchvision``, columns first.
    """

    size: int
    resize: str
    crop_pct: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rounding: str = ROUNDINGS[0]

    def __post_init__(self) -> None:
        for name, value, known in (
            ("resize", self.resize, RESIZES),
            ("rounding", self.rounding, ROUNDINGS),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if self.resize == "pad" and self.rounding != ROUNDINGS[0]:
            raise ValueError(f"pad is rounded as {ROUNDINGS[0]} does, got {self.rounding!r}")

    @property
    def geometry(self) -> dict[str, Any]:
        """Everything but the scale of the channels; timm's rounding is left out."""
        left_out = {"mean", "std"} | ({"rounding"} if self.rounding == ROUNDINGS[0] else set())
        return {k: v for k, v in asdict(self).items() if k not in left_out}

    @property
    def columns_first(self) -> bool:
        """Whether columns are resized before rows, whatever Pillow would do."""
        return self.rounding == "torchvision"

    @property
    def shows_whole(self) -> bool:
        """Whether nothing is ever cut off a picture, whatever its aspect."""
        return self.resize != "crop" and math.floor(self.size / self.crop_pct) <= self.size

    def seen_share(self, dimensions: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the share of each picture's area that the model sees.

        Parameters
        ----------
        dimensions : ndarray of shape (n, 2), int
            Height and width, 1 or more.

        Returns
        -------
        ndarray of shape (n,), float64
            From 0 to 1; to within the rounding of a side to whole pixels.
        """
        import numpy as np

        sides = dimensions.astype(np.float64)
        fitted = {"crop": sides.min(axis=1), "pad": sides.max(axis=1)}
        target = math.floor(self.size / self.crop_pct)
        across = fitted[self.resize][:, None] if self.resize in fitted else sides
        share: np.ndarray[Any, Any] = np.minimum(self.size * across / (target * sides), 1).prod(1)
        return share

    def resized(self, resize: str, *, any_size: bool = False) -> Preprocessing:
        """Take another geometry than the one that comes with the weights.

        ``model`` is that one itself. ``auto`` shows whole products: a picture as large as that one
        resizes it before it cuts, padded to a square; and that one itself where it cuts nothing. A
        picture that is squashed or padded on request is seen whole at the weights' own size.

        Parameters
        ----------
        resize : str
            One of ``CHOICES``.
        any_size : bool
            Whether the backbone takes pictures of other sizes than its own: ``auto`` pads to its
            own where it does not.

        Raises
        ------
        UsageError
            When there is no such geometry.
        """
        if resize == "auto":
            return self._whole(any_size=any_size)
        if resize in ("model", self.resize):
            return self
        one_of(resize, CHOICES, "--resize", "choose")
        crop_pct = 1.0 if resize != "crop" else 0.875
        return replace(self, resize=resize, crop_pct=crop_pct, rounding=ROUNDINGS[0])

    def _whole(self, *, any_size: bool) -> Preprocessing:
        if self.shows_whole:
            return self
        size = math.floor(self.size / self.crop_pct) if any_size else self.size
        return replace(self, size=size, resize=AUTO, crop_pct=1.0, rounding=ROUNDINGS[0])

    def transform(self) -> Any:
        """Build the transform: a PIL picture in, float32 (3, size, size) out."""
        return RESIZES[self.resize](self)

    def placed(self, picture: Image.Image) -> np.ndarray[Any, Any]:
        """Apply the transform's geometry alone, as Pillow computes it.

        Parameters
        ----------
        picture : Image
            Upright RGB.

        Returns
        -------
        ndarray of shape (size, size, 3), uint8
            Scaled to 0 to 1, less the mean, by the standard deviation: what the transform gives.
        """
        import numpy as np

        for step in _steps_of(self)[0]:
            picture = step(picture)
        return np.array(picture)

    def scaled(self, pixels: np.ndarray[Any, Any]) -> Any:
        """Scale what :meth:`placed` gives as the transform does; float32 (3, size, size)."""
        from PIL import Image

        picture: Any = Image.fromarray(pixels)
        for step in _steps_of(self)[1]:
            picture = step(picture)
        return picture


@cache
def _steps_of(wanted: Preprocessing) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Split the transform into its geometry and its last two steps: to a tensor, and its scale."""
    *geometry, to_tensor, normalise = wanted.transform().transforms
    return tuple(geometry), (to_tensor, normalise)


def _crop(wanted: Preprocessing) -> Any:
    return _timms_own(wanted, "center")


def _squash(wanted: Preprocessing) -> Any:
    return _timms_own(wanted, "squash")


def _timms_own(wanted: Preprocessing, crop_mode: str) -> Any:
    from timm.data import create_transform

    whole = create_transform(
        input_size=(3, wanted.size, wanted.size),
        is_training=False,
        crop_pct=wanted.crop_pct,
        crop_mode=crop_mode,
        interpolation=wanted.interpolation,
        mean=wanted.mean,
        std=wanted.std,
    )
    if wanted.rounding == ROUNDINGS[0]:
        return whole
    from torchvision.transforms import Compose

    resize, _, *rest = whole.transforms
    if wanted.columns_first:
        resize = partial(_resize_columns_first, wanted, resize.interpolation)
    return Compose([resize, partial(_cut_center, wanted.size), *rest])


def _resize_columns_first(wanted: Preprocessing, by: Any, picture: Image.Image) -> Image.Image:
    from torchvision.transforms.functional import resize

    height, width = resized_size(wanted, picture.height, picture.width)
    resized: Image.Image = resize(resize(picture, [picture.height, width], by), [height, width], by)
    return resized


def _cut_center(size: int, picture: Image.Image) -> Image.Image:
    left, top = (int((n - size) / 2) for n in picture.size)
    return picture.crop((left, top, left + size, top + size))


def _pad(wanted: Preprocessing) -> Any:
    """Timm's ``border`` mode on white, the ground of a catalogue, where timm takes the mean."""
    from timm.data.transforms import CenterCropOrPad
    from torchvision.transforms import Compose

    keep_aspect, _, *rest = _timms_own(wanted, "border").transforms
    return Compose([keep_aspect, CenterCropOrPad(wanted.size, fill=WHITE), *rest])


def resized_size(wanted: Preprocessing, height: int, width: int) -> tuple[int, int]:
    """Give the height and width that a picture is resized to, before it is cut out."""
    target = math.floor(wanted.size / wanted.crop_pct)
    if wanted.resize == "squash":
        return target, target
    if wanted.resize == "pad":
        ratio = max(height / target, width / target)
        return round(height / ratio), round(width / ratio)
    long = int(target * max(height, width) / min(height, width))
    return (long, target) if width <= height else (target, long)


RESIZES: dict[str, Callable[[Preprocessing], Any]] = {
    "crop": _crop,
    "squash": _squash,
    "pad": _pad,
}
CHOICES = ("auto", "model", *RESIZES)
AUTO = "pad"
"""Measured best on product photographs: the figures are in tests/benchmarks/README.md."""
