"""Numbers of stored vectors do not depend on the kernels that a processor multiplies by."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analyze.clustering.clustering import cluster
from analyze.reduction.reduction import reduce

pytestmark = [pytest.mark.numbers, pytest.mark.slow]

PROJECT = Path(__file__).parents[2]  # not from small_catalogs, which loads torch
OLDEST = {"OPENBLAS_CORETYPE": "Prescott"}
"""A processor of 2004, whose kernels every x86-64 can run; elsewhere the name is passed over."""

STEPS = ("pca:0.9", "l2,pca:5,tsne:10")


def computed(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Reduce, place and cluster."""
    found = {}
    for steps in STEPS:
        reduced = reduce(vectors, steps, 1)
        assert reduced.place is not None
        found[steps] = reduced.coordinates
        found[f"{steps}, placed"] = reduced.place(vectors[:20] + np.float32(0.1))
        for method in ("kmeans", "spherical"):
            found[f"{steps}, {method}"] = cluster(reduced, 5, 1, method).assignments
    return found


def test_reductions_and_clusterings_are_equal_to_the_last_bit(
    overlapping: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    vectors, _ = overlapping
    np.save(tmp_path / "vectors.npy", vectors)
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "tests"), str(Path(__file__).parent)])
    subprocess.run(
        [sys.executable, __file__, tmp_path / "vectors.npy", tmp_path / "found.npz"],
        env={**os.environ, **OLDEST, "PYTHONPATH": paths},
        check=True,
    )
    elsewhere = np.load(tmp_path / "found.npz")
    here = computed(vectors)
    assert sorted(here) == sorted(elsewhere.files)
    for name, array in here.items():
        np.testing.assert_array_equal(array, elsewhere[name], strict=True, err_msg=name)


if __name__ == "__main__":
    np.savez(sys.argv[2], **computed(np.load(sys.argv[1])))
