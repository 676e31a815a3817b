#!/usr/bin/env bash
# numba 0.68.1: what was compiled with NUMBA_OPT=0 is taken from the cache by later runs that ask for optimized code.
#
# The index of a function's cache on disk (cache=True) knows its signature, the target and the processor, but not the
# optimization level. A run with NUMBA_OPT=0, as one does to compile fast in tests or to debug, leaves machine code
# there; every later run with the default level loads it, reports a cache hit, and is as slow (13 times here), until
# the source or its date changes. Libraries that compile with cache=True, as umap-learn and pynndescent do, are slowed
# for all their users on that account. Another NUMBA_CACHE_DIR for such runs keeps them apart.
# Source: numba/core/caching.py, _CacheImpl and Cache._index_key (signature, codegen.magic_tuple(), and hashes of the
# bytecode); the level is read in numba/core/config.py alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numba==0.68.1 numpy==2.4.6

cat >"$folder/summed.py" <<'PY'
import sys
import time

import numba
import numpy as np


@numba.njit(cache=True)
def summed(values):
    total = 0.0
    for value in values:
        total += value * value
    return total


values = np.random.default_rng(0).random(1_000_000)
summed(values)
times = []
for _ in range(7):
    began = time.perf_counter()
    summed(values)
    times.append(1000 * (time.perf_counter() - began))
hits = sum(summed.stats.cache_hits.values())
print(sys.argv[1], int(numba.config.OPT), hits, f"{sorted(times)[3]:.2f}")
PY

ran() { # name, cache, level
  NUMBA_CACHE_DIR="$folder/$2" NUMBA_OPT="$3" "$folder/venv/bin/python" "$folder/summed.py" "$1"
}
first=$(ran first shared 0)
later=$(ran later shared 3)
alone=$(ran alone other 3)
kept=$(cat "$folder"/shared/*/*.nbc | sha256sum)
again=$(ran again shared 3)
echo "numba 0.68.1: run, level asked for, cache hits, ms for a million numbers"
printf '  %s\n' "$first" "$later" "$again" "$alone"
python3 - "$first" "$later" "$alone" <<'PY' && [ "$kept" = "$(cat "$folder"/shared/*/*.nbc | sha256sum)" ]
import sys

(_, level, hits, slow), (_, asked, found, later), (_, _, own, fast) = (each.split() for each in sys.argv[1:])
slow, later, fast = map(float, (slow, later, fast))
expected = (level, asked, hits, found, own) == ("0", "3", "0", "1", "0") and min(slow, later) > 1.3 * fast
sys.exit(not expected and "this has changed")
PY
