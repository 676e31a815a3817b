#!/usr/bin/env bash
# faiss-cpu: the unit of faiss.cvar.distance_compute_blas_threshold changed without a new name.
#
# An exact search takes BLAS from this number on, and its own loops below it. In 1.13.2 the number is
# compared with the count of queries (default 20); in 1.14.2 with queries times dimensions (default
# 128,000). A program that sets it to, say, 1,000 so that hundreds of queries still go through the loops
# keeps its answers after the upgrade, and takes BLAS for all but the smallest questions; one that set it in
# the new unit runs many times slower on the older release. Nothing warns in either direction.
#
# Which way was taken is seen in the last bits of the products: the two round otherwise.
# Source: faiss/utils/distances.cpp of both releases (knn_inner_product and its neighbours).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/ask.py" <<'PY'
import sys
import faiss
import numpy as np

faiss.omp_set_num_threads(1)
drawn = np.random.default_rng(0)
dims, queries = 1280, 300
rows = drawn.standard_normal((3000, dims), dtype=np.float32)
asked = drawn.standard_normal((queries, dims), dtype=np.float32)


def products(threshold, n):
    faiss.cvar.distance_compute_blas_threshold = threshold
    return faiss.knn(asked[:n], rows, 10, metric=faiss.METRIC_INNER_PRODUCT)[0]


def takes_blas(threshold, n):
    found, loops, blas = (products(t, n) for t in (threshold, 2**31 - 1, 0))
    assert not np.array_equal(loops, blas), "the two ways cannot be told apart here"
    assert np.array_equal(found, loops) != np.array_equal(found, blas)
    return bool(np.array_equal(found, blas))


default = faiss.cvar.distance_compute_blas_threshold
seen = {n: takes_blas(1000, n) for n in (10, 300)}
print(f"faiss-cpu {faiss.__version__}: default {default}; at 1,000, of {dims} dimensions,", end=" ")
print(", ".join(f"{n} queries {'by BLAS' if b else 'by loops'}" for n, b in seen.items()))
expected = {"queries": {10: False, 300: False}, "products": {10: True, 300: True}}[sys.argv[1]]
sys.exit(0 if seen == expected else 1)
PY

for pair in 1.13.2:queries 1.14.2:products; do
  python3 -m venv "$folder/${pair%:*}"
  "$folder/${pair%:*}/bin/pip" install --quiet "faiss-cpu==${pair%:*}" numpy==2.4.6
  "$folder/${pair%:*}/bin/python" "$folder/ask.py" "${pair#*:}" || { echo "this has changed"; exit 1; }
done
