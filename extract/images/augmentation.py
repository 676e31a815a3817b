"""Views: augmented copies of every picture, each a row of a file of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from extract.errors import UsageError, one_of
from extract.images.corruptions import FAMILIES, N_SEVERITIES, Corruption, corrupt, turned
from extract.images.decoding import decode_picture
from extract.images.reading import PictureFile
from extract.transforms.pillow_geometry import placed_by_pillow
from extract.transforms.preprocessing import Preprocessing

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in what is seen as light (ITU-R BT.601)."""

MOST_VIEWS = 64
CORRUPTED = "corrupted-1"


@dataclass(frozen=True)
class Policy:
    """What a view may change, and how far; what is drawn lies evenly between the bounds.

    Parameters
    ----------
    rotation : float
        Degrees, either way.
    flip : float
        How often left and right change places, from 0 to 1.
    zoom : float
        At most this many times larger, or smaller.
    brightness, contrast, saturation : float
        Share by which each is raised or lowered at most.
    tint : float
        The same, of each channel on its own.
    blur : float
        How often a picture is blurred, from 0 to 1.
    blur_radius : float
        At most, as a share of the side.
    corruptions : tuple of str
        Families of which one is drawn, and its severity.
    """

    rotation: float = 0.0
    flip: float = 0.0
    zoom: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    tint: float = 0.0
    blur: float = 0.0
    blur_radius: float = 0.0
    corruptions: tuple[str, ...] = ()


_PLACED: dict[str, Any] = {"rotation": 15.0, "flip": 0.5, "zoom": 1.2}
_LIT: dict[str, Any] = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.3, "tint": 0.05}

POLICIES: dict[str, Policy] = {
    "geometric-1": Policy(**_PLACED),
    "catalog-1": Policy(**_PLACED, **_LIT, blur=0.2, blur_radius=0.005),
    CORRUPTED: Policy(corruptions=tuple(FAMILIES)),
}
"""Rotation, flip and zoom alone, or with light, color and blur; or one corruption of any family. A
policy never changes: another one takes another number, since its name is part of what a file's
numbers mean."""


def find_policy(name: str) -> Policy:
    """Find a policy by its name; ``corrupted-1:noise+blur`` draws from these families alone.

    Raises
    ------
    UsageError
        Listing those there are.
    """
    base, colon, named = name.partition(":")
    one_of(base if base == CORRUPTED else name, POLICIES, "policy of views")
    families = named.split("+")
    for family in families if colon else ():
        one_of(family, FAMILIES, "family of corruptions")
    if len(set(families)) < len(families):
        raise UsageError(f"a family is named twice: {name}")
    return replace(POLICIES[base], corruptions=tuple(families)) if colon else POLICIES[base]


@dataclass(frozen=True)
class View:
    """One augmented copy of every picture.

    Parameters
    ----------
    policy : str
        As :func:`find_policy` takes it.
    seed : int
    index : int
        From 1 on.
    """

    policy: str
    seed: int
    index: int

    def __post_init__(self) -> None:
        if not isinstance(self.policy, str):
            raise ValueError(f"policy of a view must be a name, got {self.policy!r}")
        find_policy(self.policy)
        for name, least in (("seed", 0), ("index", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} of a view must be {least} or more, got {value!r}")

    def described(self) -> dict[str, Any]:
        """Spell it for an identity."""
        return asdict(self)


def view_of(identity: Mapping[str, Any]) -> View | None:
    """Read the view that an identity names; None where it is of the pictures as they are.

    Raises
    ------
    UsageError
        When it names a policy that is not known here, or is no view at all.
    """
    named = identity.get("view")
    if named is None:
        return None
    if not isinstance(named, Mapping) or set(named) != {"policy", "seed", "index"}:
        raise UsageError("the file's identity names no view: policy, seed and index belong to one")
    try:
        return View(named["policy"], named["seed"], named["index"])
    except (TypeError, ValueError) as error:
        raise UsageError(f"the file's identity names no view: {error}") from error


def augment(pixels: np.ndarray, view: View, content_sha256: bytes) -> np.ndarray:
    """Make one picture's view.

    What is done to it depends on the view and on the picture's bytes alone: a grown catalogue keeps
    its views, and copies have the same.

    Parameters
    ----------
    pixels : ndarray of shape (size, size, 3), uint8
        As the model would see the picture itself.
    view : View
    content_sha256 : bytes

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
    """
    from PIL import Image

    policy, drawn = find_policy(view.policy), _drawn(view, content_sha256)
    picture = Image.fromarray(pixels)
    if (policy.rotation, policy.flip, policy.zoom) != (0.0, 0.0, 1.0):
        picture = _transformed(picture, policy, drawn)
    picture = picture.convert("RGB", _colors(policy, drawn, picture))
    radius = next(drawn) * policy.blur_radius * len(pixels)
    if next(drawn) < policy.blur:
        from PIL import ImageFilter

        picture = picture.filter(ImageFilter.GaussianBlur(radius))
    if not policy.corruptions:
        return np.array(picture)
    family = policy.corruptions[int(next(drawn) * len(policy.corruptions))]
    corruption = Corruption(family, 1 + int(next(drawn) * N_SEVERITIES))
    made = corrupt(np.array(picture), corruption, content_sha256, seed=f"{view.seed}\0{view.index}")
    return np.array(picture) if made is None else made


def reference_pixels(file: PictureFile, seen: Preprocessing, view: View | None = None) -> Any:
    """Make a picture ready by the reference path; tensor of shape (3, size, size), float32.

    Raises
    ------
    Refused
        When it cannot be decoded.
    """
    picture = decode_picture(file.content)
    if view is None:
        return seen.transform()(picture)
    return seen.scaled(augment(seen.placed(picture), view, file.sha256))


def exact_pixels(file: PictureFile, seen: Preprocessing, view: View | None = None) -> np.ndarray:
    """Make a picture ready with the reference path's pixels, without torch.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8

    Raises
    ------
    Refused
        When it cannot be decoded.
    """
    placed = np.array(placed_by_pillow(decode_picture(file.content), seen))
    return placed if view is None else augment(placed, view, file.sha256)


def _drawn(view: View, content_sha256: bytes) -> Iterator[float]:
    """Draw sixteen numbers from 0 to 1 that no library's generator has a part in."""
    key = f"{view.policy}\0{view.seed}\0{view.index}\0".encode() + content_sha256
    words = np.frombuffer(hashlib.sha512(key).digest(), "<u4")
    return iter((words / 2**32).tolist())


def _between(share: float, most: float) -> float:
    return 1 + most * (2 * share - 1)


def _transformed(picture: Any, policy: Policy, drawn: Iterator[float]) -> Any:
    """Turn, flip and zoom about the center."""
    degrees = policy.rotation * (2 * next(drawn) - 1)
    mirrored = next(drawn) < policy.flip
    return turned(picture, degrees, mirrored=mirrored, zoom=policy.zoom ** (2 * next(drawn) - 1))


def _colors(policy: Policy, drawn: Iterator[float], picture: Any) -> tuple[float, ...]:
    """Make one matrix of brightness, contrast about the mean light, saturation and tint.

    Returns
    -------
    tuple of 12 floats
        Rows of (red, green, blue, constant), on a scale of 0 to 255.
    """
    brightness = _between(next(drawn), policy.brightness)
    contrast = _between(next(drawn), policy.contrast)
    saturation = _between(next(drawn), policy.saturation)
    tint = [_between(next(drawn), policy.tint) for _ in range(3)]
    counts = np.array(picture.convert("L").histogram())
    light = float(counts @ np.arange(256)) / float(counts.sum())
    grey = np.tile(GREY, (3, 1))
    colors = saturation * np.eye(3) + (1 - saturation) * grey
    linear = brightness * contrast * np.diag(tint) @ colors
    constant = brightness * (1 - contrast) * light * np.array(tint)
    return tuple(np.column_stack([linear, constant]).ravel().tolist())
