#!/usr/bin/env bash
# scikit-learn: PCA's default solver loses the axes of float32 rows that lie far from zero.
#
# For 1,000 columns or fewer and ten times as many rows `svd_solver="auto"` takes the covariance's
# eigenvectors, and the covariance as the product of the rows less the product of their means, both in the
# rows' own float32. With an offset a few hundred times the spread nothing is left of the difference. The
# same rows centered first, or in float64, or by the solver "full", give the right axes; no warning says so.
#
# Seen with scikit-learn 1.9.1, 5,000 rows of 100 columns, spread 1/1 to 1/100, offset 0 and 300.
# Source: sklearn/decomposition/_pca.py, the branch for "covariance_eigh" of PCA's _fit_full.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PY'
import sys
import warnings
import numpy as np
import sklearn
from sklearn.decomposition import PCA

warnings.simplefilter("error")
drawn = np.random.default_rng(0)
spread = drawn.standard_normal((5000, 100)) / np.arange(1, 101)


def axes_kept(offset: float, solver: str = "auto") -> float:
    """Worst correlation of three components of float32 rows with those of float64."""
    rows = (spread + offset).astype(np.float32)
    right = PCA(3, svd_solver="full").fit_transform(rows.astype(np.float64))
    found = PCA(3, svd_solver=solver).fit_transform(rows)
    return min(abs(np.corrcoef(right[:, i], found[:, i])[0, 1]) for i in range(3))


near, far, full = axes_kept(0), axes_kept(300), axes_kept(300, "full")
print(f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}")
print(f"worst correlation of three axes with those of float64: offset 0 {near:.6f}")
print(f"offset 300: {far:.6f} by the default solver, {full:.6f} by svd_solver='full'; no warning")
if not (near > 0.999999 and far < 0.9 and full > 0.999):
    sys.exit("this has changed")
PY
