"""Pictures as the model of a file saw them, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from extract.images.augmentation import View, augment, view_of
from extract.transforms.pillow_geometry import placed_by_pillow, share_seen
from extract.transforms.preprocessing import Preprocessing

WORDS = {"crop": "center cut out", "squash": "squashed to a square", "pad": "whole, on white"}
CUT = {"squash": ", center cut out", "pad": ", center cut out"}
"""What is added where the geometry resizes to more than the model's size."""


@dataclass(frozen=True)
class AsSeen:
    """How the model of a file saw its pictures.

    Parameters
    ----------
    preprocessing : Preprocessing
    view : View, optional
        Of a file of augmented pictures.
    """

    preprocessing: Preprocessing
    view: View | None = None

    def show(self, picture: Image.Image, content_sha256: bytes) -> Image.Image:
        """Make of a picture what the model saw of it.

        Parameters
        ----------
        picture : Image
            Upright RGB.
        content_sha256 : bytes
            Of its file.

        Returns
        -------
        Image
            RGB, as many pixels a side as the model takes.
        """
        placed = placed_by_pillow(picture, self.preprocessing)
        if self.view is None:
            return placed
        return Image.fromarray(augment(np.array(placed), self.view, content_sha256))

    def share(self, picture: Image.Image) -> float:
        """Say how much of a picture's area the model saw; 1 where all of it."""
        return share_seen(picture, self.preprocessing)

    @property
    def words(self) -> str:
        """The geometry in words, as in ``center cut out (crop), 224 px``."""
        name, size = self.preprocessing.resize, self.preprocessing.size
        cut = CUT.get(name, "") if self.preprocessing.crop_pct < 1 else ""
        view = f", {self.view.policy} view {self.view.index}" if self.view else ""
        return f"{WORDS[name]}{cut} ({name}), {size} px{view}"


def as_seen(identity: Mapping[str, Any]) -> AsSeen | None:
    """Read from a file's identity how its model saw the pictures; None where it does not say."""
    from extract.verification.recomputation import seen_by_model

    preprocessing = seen_by_model(identity)
    return None if preprocessing is None else AsSeen(preprocessing, view_of(identity))
