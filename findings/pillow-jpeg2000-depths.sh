#!/usr/bin/env bash
# Pillow 13.0.0: JPEG 2000 pictures whose components are not of eight bits come back with wrong values:
# the whitest values of 16-bit color wrap round to black, and white of 1, 2 and 4 bits is gray.
#
# A ramp of 256 values from 0 to 65,535 in 16-bit RGB, lossless: the last one reads as 0, where all
# before it rise. Components of fewer bits are shifted to the top of a byte without being scaled: their
# greatest value reads as 128, 192 and 240. No error, no warning; imagecodecs reads its own files back exactly.
# Seen with imagecodecs 2026.3.6 (OpenJPEG 2.5.4) as the writer. Source: Pillow, src/libImaging/Jpeg2KDecode.c,
# the unpackers' shift and rounding offset.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6 imagecodecs==2026.3.6

"$folder/venv/bin/python" - <<'PY'
import io
import sys

import imagecodecs
import numpy as np
import PIL
from PIL import Image


def read(pixels, bits):
    written = imagecodecs.jpeg2k_encode(
        pixels, level=0, codecformat="jp2", reversible=True, bitspersample=bits
    )
    assert np.array_equal(imagecodecs.jpeg2k_decode(written), pixels)
    return np.asarray(Image.open(io.BytesIO(written)))


print("Pillow", PIL.__version__)
ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)
deep = read(np.stack([np.tile(ramp, (16, 1))] * 3, axis=-1), 16)[0, :, 0]
print("16-bit color, a ramp up to white ends in", deep[-4:].tolist())
white = {}
for bits in (1, 2, 4):
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:, 8:] = 2**bits - 1
    white[bits] = int(read(pixels, bits).max())
print("white of so many bits reads as", white)
changed = deep[-4:].tolist() != [253, 254, 255, 0]
sys.exit((changed or white != {1: 128, 2: 192, 4: 240}) and "this has changed")
PY
