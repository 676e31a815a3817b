#!/usr/bin/env bash
# pylibjxl 0.5.0 (libjxl 0.11.2): a JPEG XL whose colors are given by numbers, such as Display P3, is decoded
# without a profile: nothing tells its levels from those of sRGB.
#
# A picture is encoded lossless in sRGB, and the header before its numbers is replaced by one that says
# Display P3 (ISO 18181-1, annex D: white D65, primaries 11, curve of sRGB), as cjxl writes it. The levels that
# are decoded are those of Display P3, metadata names no profile, and probe says nothing of colors. Lossy
# files of photographs with an ICC profile of Display P3 are of this kind: encoders turn it into numbers.
# Seen by behavior alone; where a profile is stored as ICC, metadata gives it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pylibjxl==0.5.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import pylibjxl


def written(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return b"\xff\x0a" + bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


# 32 x 32; not all as usual, no extra fields; integers of 8 bits; small buffers; no extra channels; not XYB
start = "1" + "11000" + "100" + "0" + "0" + "000" + "1" + "00" + "0"
end = "00" + "1"  # no extensions, weights as usual
srgb = written(start + "1" + end)
# colors by numbers: no profile, RGB, D65, primaries 11, no exponent, curve 13, perceptual
p3 = written(start + "0" + "0" + "00" + "10" + "01" + "1001" + "0" + "01" + "1101" + "00" + end)

ramp = np.linspace(0, 255, 32).astype(np.uint8)
picture = np.stack(np.broadcast_arrays(ramp[None], ramp[:, None], np.uint8(9)), -1)
content = pylibjxl.encode(np.ascontiguousarray(picture), lossless=True)
if not content.startswith(srgb):
    sys.exit("this has changed: the encoder writes another header")
wide = p3 + content[len(srgb) :]
levels, beside = pylibjxl.decode(wide, metadata=True)
same, said = bool((levels == picture).all()), sorted(pylibjxl.probe(wide))
print(f"pylibjxl 0.5.0: levels as stored: {same}, beside them: {sorted(beside)}, probe names {said}")
colors = any("primaries" in word or "icc" in word or "space" in word for word in said)
sys.exit((not same or "icc" in beside or colors) and "this has changed")
PY
