"""Pixels of a picture, and that every decoder sees the same."""

from __future__ import annotations

import numpy as np

from extract.images.decoders import prepare_picture
from extract.images.decoding import decode_picture
from extract.transforms.preprocessing import Preprocessing

SEEN = Preprocessing(16, "squash", 1.0, "bilinear", (0.5,) * 3, (0.5,) * 3)


def pixels(content: bytes) -> np.ndarray:
    """Decode upright, and see that the fast paths see the same."""
    got = np.asarray(decode_picture(content)).astype(int)
    seen = [prepare_picture(content, (SEEN,), each) for each in ("reference", "fast", "scaled")]
    for each in seen[1:]:
        assert np.abs(each.pixels[SEEN].astype(int) - seen[0].pixels[SEEN]).max() <= 2
        assert each.reading == seen[0].reading
    return got
