#!/usr/bin/env bash
# umap-learn 0.5.12: where transform() places a new row depends on which other new rows come with it.
#
# A fitted UMAP with a fixed seed and 30 new rows: the same call again, and the rows in reverse order, place them
# the same to the last bit, and fewer companions may change nothing; but each row alone, or 20 rows more that were fitted, move
# them. What the companions share is the greatest weight of an edge: it scales how often the edges of all are
# visited, and which are dropped. A map on which new products are placed so looks otherwise from day to day.
# Seen on scikit-learn's digits; shares of the map's width, the median over rows.
# Source: umap/umap_.py, UMAP.transform (the weakest edges are dropped by graph.data.max()) and
# make_epochs_per_sample (result scaled by weights.max()).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet umap-learn==0.5.12 scikit-learn==1.9.1 numpy==2.4.6 numba==0.68.1

"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import umap
from sklearn.datasets import load_digits

rows = load_digits().data[:480].astype(np.float32)
fitted = umap.UMAP(random_state=0).fit(rows[:450])
new = rows[450:]
width = np.ptp(fitted.embedding_, axis=0).max()


def moved(a, b):
    return float(np.median(np.linalg.norm(a - b, axis=1)) / width)


together = fitted.transform(new)
again = moved(together, fitted.transform(new))
turned = moved(together[::-1], fitted.transform(new[::-1]))
alone = moved(together, np.concatenate([fitted.transform(row[None]) for row in new]))
more = moved(together, fitted.transform(np.concatenate([new, rows[:20]]))[: len(new)])
print(f"umap-learn {umap.__version__}, 30 new rows, moved by shares of the map's width:")
print(f"  the same call again {again:.4f}; in reverse order {turned:.4f};")
print(f"  each row alone {alone:.4f}; beside 20 rows that were fitted {more:.4f}")
sys.exit(not (again == turned == 0 and alone > 0 and more > 0) and "this has changed")
PY
