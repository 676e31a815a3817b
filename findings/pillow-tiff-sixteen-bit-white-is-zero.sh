#!/usr/bin/env bash
# Pillow 13.0.0: a 16-bit gray TIFF whose zero is white (photometric interpretation 0) comes back as a
# negative, with no sign of it; the same picture in 8 bits is inverted as it should be.
#
# In little-endian order it opens as mode I;16 with the stored numbers as they are; in big-endian order it is
# not recognized at all. Written by tifffile 2026.3.3, half black and half white.
# Source: PIL/TiffImagePlugin.py, OPEN_INFO (the entry of 16 bits and interpretation 0 has no inverting raw mode).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3

"$folder/venv/bin/python" -W ignore - <<'PY'
import io
import sys

import numpy as np
import PIL
import tifffile
from PIL import Image, UnidentifiedImageError


def read(bits, order):
    stored = np.zeros((16, 16), f"u{bits // 8}")
    stored[:, 8:] = 2**bits - 1
    file = io.BytesIO()
    tifffile.imwrite(file, stored, photometric="miniswhite", byteorder=order)
    file.seek(0)
    try:
        picture = Image.open(file)
    except UnidentifiedImageError:
        return "refused"
    left, right = np.asarray(picture)[0, [0, -1]].tolist()
    return f"{picture.mode}, stored 0 reads as {left}, {2**bits - 1} as {right}"


seen = {f"{bits} bits {order}": read(bits, order) for bits, order in ((8, "<"), (16, "<"), (16, ">"))}
print("Pillow", PIL.__version__, *(f"\n  {k}: {v}" for k, v in seen.items()))
expected = [
    "L, stored 0 reads as 255, 255 as 0",
    "I;16, stored 0 reads as 0, 65535 as 65535",
    "refused",
]
sys.exit(list(seen.values()) != expected and "this has changed")
PY
