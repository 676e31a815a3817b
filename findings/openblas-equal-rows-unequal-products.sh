#!/usr/bin/env bash
# NumPy with OpenBLAS on x86-64: equal rows of a float32 matrix have unequal products with one vector.
#
# A row's place in the blocks that the kernel works on decides in which order its terms are added, so two
# rows of equal bytes differ in the last bits of their product with the same third row. An argmax or a sort
# over such products then orders doubles by rounding, and otherwise on another processor: the kernel is
# chosen by the processor (OPENBLAS_CORETYPE asks for one).
#
# Seen with NumPy 2.4.6 (its wheel's OpenBLAS), 525 rows of 1,280 numbers, 12 groups of equal rows.
# Source: the kernels' blocking in OpenBLAS, kernel/x86_64 (sgemm_kernel_*_haswell).
set -euo pipefail
if [ "$(uname -m)" != x86_64 ] || ! grep -qw avx2 /proc/cpuinfo; then
  echo "needs an x86-64 processor with AVX2"
  exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6

OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PY'
import sys
import numpy as np

drawn = np.random.default_rng(0)
rows = drawn.standard_normal((525, 1280), dtype=np.float32)
groups = drawn.permutation(525)[:48].reshape(12, 4)
for first, *others in groups:
    rows[others] = rows[first]

products = rows @ rows.T
unequal = sum(len(np.unique(products[:, group], axis=1).T) > 1 for group in groups)
print(f"NumPy {np.__version__}, Haswell's kernels: {unequal} of {len(groups)} groups of equal rows")
print("have products with other rows that are not equal to the last bit")
exact = rows.astype(np.float64) @ rows.T.astype(np.float64)
apart = max(np.abs(exact[:, [a]] - exact[:, [b]]).max() for a, b, *_ in groups)
print(f"(in float64 the same products differ by {apart:.1e} at most, of about {np.sqrt(1280):.0f})")
if not unequal:
    sys.exit("this has changed")
PY
