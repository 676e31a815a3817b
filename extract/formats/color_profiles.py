"""ICC profiles: what makes a picture's colors sRGB, where they are not."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from extract.refusals import Reason, Refused

if TYPE_CHECKING:
    from PIL import ImageCms

MOST_PROFILE = 4 << 20
"""Bytes; a longer one counts as broken. Those of printing presses take up to three million."""

MOST_KEPT = 16
"""Profiles at once; a catalogue's photographs carry few."""

ONE_LEVEL = 1
"""So near to sRGB, a profile changes nothing that eight bits could show."""

MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Color spaces of profiles, and the mode of the pictures that they belong to."""

CLASSES = frozenset({"mntr", "scnr", "prtr", "spac"})
"""Profiles of a device or a color space; the others are no picture's own."""

_GRAYS = frozenset({"1", "L", "LA", "La"})


@dataclass(frozen=True, eq=False)
class Profile:
    """A profile of other colors than sRGB, ready to be applied.

    Parameters
    ----------
    mode : str
        Of the pictures that it belongs to: ``RGB``, ``L`` or ``CMYK``.
    transform : ImageCmsTransform
        To sRGB, by perceptual intent, black to black; threads may share it.
    """

    mode: str
    transform: ImageCms.ImageCmsTransform

    def to_srgb(self, picture: Image.Image) -> Image.Image:
        """Give a picture in sRGB: mode RGB, or RGBA where some of it is transparent."""
        alpha = None
        if picture.has_transparency_data:
            alpha = picture.convert("RGBA").getchannel("A")
        source = picture if picture.mode == self.mode else picture.convert(self.mode)
        converted = self.transform.apply(source)
        if alpha is not None:
            converted.putalpha(alpha)
        return converted


def find_profile(icc: object, mode: str) -> Profile | None:
    """Read the profile of a picture; None where it changes nothing, or cannot be believed.

    A profile that is broken, or of another color space than the picture, is passed over, and so is
    one that is equal to sRGB within one level of 255.

    Parameters
    ----------
    icc : object
        What Pillow found: bytes, where there is a profile.
    mode : str
        The picture's.

    Raises
    ------
    Refused
        Where this build of Pillow has no littleCMS.
    """
    if not isinstance(icc, bytes) or not 128 <= len(icc) <= MOST_PROFILE:
        return None
    wanted = "L" if mode in _GRAYS or mode.startswith("I") else mode
    wanted = wanted if wanted in ("L", "CMYK", "LAB", "F") else "RGB"
    found = _profile(icc)
    return found if found is not None and found.mode == wanted else None


@lru_cache(MOST_KEPT)
def _profile(icc: bytes) -> Profile | None:
    cms = _littlecms()
    try:
        opened = cms.ImageCmsProfile(io.BytesIO(icc))
        mode = MODES.get(opened.profile.xcolor_space.strip())
        if mode is None or opened.profile.device_class.strip() not in CLASSES:
            return None
        intent, black = cms.Intent.PERCEPTUAL, cms.Flags.BLACKPOINTCOMPENSATION
        transform = cms.buildTransform(opened, _srgb(), mode, "RGB", intent, flags=black)
        profile = Profile(mode, transform)
        return None if _is_srgb(profile) else profile
    except (cms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _is_srgb(profile: Profile) -> bool:
    """Whether every color of a grid, and every gray, stays as it is."""
    if profile.mode == "CMYK":
        return False
    ramp = np.arange(256, dtype=np.uint8)
    before = np.repeat(ramp[:, None], 3, axis=1)
    if profile.mode == "RGB":
        steps = ramp[::17]
        grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
        before = np.concatenate([before, grid])
    picture = Image.fromarray(before[None]).convert(profile.mode)
    after = np.asarray(profile.transform.apply(picture))[0]
    return int(np.abs(after.astype(int) - before).max()) <= ONE_LEVEL


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    cms = _littlecms()
    profile: ImageCms.ImageCmsProfile = cms.ImageCmsProfile(cms.createProfile("sRGB"))
    return profile


@cache
def _littlecms() -> Any:
    from PIL import ImageCms, features

    if not features.check("littlecms2"):
        raise Refused(Reason.UNSUPPORTED, "a color profile, and this Pillow has no littleCMS")
    return ImageCms
