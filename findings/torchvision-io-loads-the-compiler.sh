#!/usr/bin/env bash
# torchvision 0.29.1 with torch 2.14.1: reading one JPEG by torchvision.io loads every model family and torch's compiler.
#
# `import torchvision.io` runs the package's own __init__, which imports torchvision.models, those torchvision.ops, and
# ops.roi_align asks torch._dynamo.utils whether it is being compiled: torch._dynamo comes with it, and with that
# torch._inductor. Some 1,000 modules are imported after torch's own, and it takes about as long as torch itself: twice
# the start for a program, or for each of many worker processes, that only decodes or resizes. No part of it is lazy.
# Source: torchvision/__init__.py, torchvision/ops/roi_align.py (its imports), torchvision/models/__init__.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 torchvision==0.29.1 numpy==2.4.6

cat >"$folder/loaded.py" <<'PY'
import json
import sys
import time

began = time.perf_counter()
import torch

of_torch, middle = set(sys.modules), time.perf_counter()
compiler = [name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules]
from torchvision.io import decode_jpeg

new = set(sys.modules) - of_torch
print(json.dumps({
    "with torch": compiler,
    "with torchvision.io": sorted({"torch._dynamo", "torch._inductor", "torchvision.models"} & new),
    "modules": [len(of_torch), len(new)],
    "seconds": [round(middle - began, 1), round(time.perf_counter() - middle, 1)],
}))
PY
"$folder/venv/bin/python" "$folder/loaded.py" >/dev/null 2>&1 # its files are read and compiled once
seen=$("$folder/venv/bin/python" -W ignore "$folder/loaded.py")
echo "torch 2.14.1, torchvision 0.29.1: $seen"
python3 - "$seen" <<'PY'
import json
import sys

seen = json.loads(sys.argv[1])
expected = ["torch._dynamo", "torch._inductor", "torchvision.models"]
same = seen["with torch"] == [] and seen["with torchvision.io"] == expected
sys.exit(not same and "this has changed")
PY
