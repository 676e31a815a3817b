#!/usr/bin/env bash
# transformers 5.24.0: a CvT stage takes one stochastic depth rate, chosen by the stage's number, for all its blocks.
#
# CvT raises the rate of stochastic depth from block to block, and CvtStage makes that list, one rate a block. It then
# indexes the list by the number of the stage where it means the number of the block: every block of a stage has the
# same rate (of cvt-13's last stage, with ten blocks and rates from 0 to 0.1, all have the third), and a model whose
# stage s has no more than s blocks, as depth=(2, 2, 2), cannot be built (IndexError). Inference is not touched;
# training and smaller models are.
# Source: models/cvt/modeling_cvt.py, CvtStage.__init__ (drop_path_rates[self.stage]).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet transformers==5.24.0 torch==2.14.1

HF_HUB_OFFLINE=1 "$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import transformers
from transformers import CvtConfig, CvtModel

model = CvtModel(CvtConfig())  # as microsoft/cvt-13
rates = [block.drop_path.drop_prob for block in model.encoder.stages[2].layers]
print(f"transformers {transformers.__version__}, rates of the last stage's {len(rates)} blocks:")
print("  " + " ".join(f"{rate:.4f}" for rate in rates))
built = {}
for depth in ((1, 2, 3), (2, 2, 2), (3, 1, 3)):
    try:
        CvtModel(CvtConfig(depth=list(depth)))
        built[depth] = "built"
    except IndexError as error:
        built[depth] = f"IndexError: {error}"
    print(f"  depth {depth}: {built[depth]}")
same = len(rates) == 10 and len(set(rates)) == 1
refused = built[(1, 2, 3)] == "built" and all("Index" in built[d] for d in ((2, 2, 2), (3, 1, 3)))
sys.exit(not (same and refused) and "this has changed")
PY
