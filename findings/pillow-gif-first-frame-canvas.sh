#!/usr/bin/env bash
# Pillow 13.0.0: what a GIF's first frame leaves of its canvas is filled with palette entry 0, whatever
# the file names as its background color; browsers leave it clear.
#
# A frame of 40 x 30 at (20, 15) of a canvas of 80 x 60, four colors. The header's background index is set
# to 0, 1 and 2 in turn; the pixels outside the frame are entry 0 each time, and nothing marks them as not
# drawn: mode P, no transparency. A cropped drawing on white so gets a frame of black, if black is entry 0.
# Source: PIL/GifImagePlugin.py, GifImageFile.load_prepare.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0

"$folder/venv/bin/python" - <<'PY'
import io
import struct
import sys

import PIL
from PIL import Image

frame = Image.new("P", (40, 30), 3)
frame.putpalette([0, 0, 0, 255, 255, 255, 0, 0, 255, 200, 30, 30])
written = io.BytesIO()
frame.save(written, "GIF", optimize=False)
gif = bytearray(written.getvalue())
descriptor = gif.index(b"\x2c\0\0\0\0")
struct.pack_into("<HH", gif, 6, 80, 60)
struct.pack_into("<HH", gif, descriptor + 1, 20, 15)

seen = {}
for background in (0, 1, 2):
    gif[11] = background
    picture = Image.open(io.BytesIO(bytes(gif)))
    outside = picture.convert("RGBA").getpixel((0, 0))
    seen[background] = outside, picture.info["background"], "transparency" in picture.info
    print(f"Pillow {PIL.__version__}: background index {background}, outside the frame {outside}")
sys.exit(seen != {b: ((0, 0, 0, 255), b, False) for b in (0, 1, 2)} and "this has changed")
PY
