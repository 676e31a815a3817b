"""Vectors with a planted truth, and short ways to make what the analysis starts from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from analyze.reduction.reduction import Reduced
from extract.catalog.catalog import Level
from extract.storage.embeddings import EmbeddingSet, Provenance


def _ids(n_images: int) -> tuple[str, ...]:
    return tuple(f"{i:04}.png" for i in range(n_images))


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@pytest.fixture(scope="session")
def overlapping() -> tuple[np.ndarray, np.ndarray]:
    """200 x 64 vectors of five classes that no clustering can part, and their classes."""
    from sklearn.datasets import make_blobs

    vectors, labels = make_blobs(
        200, 64, centers=5, cluster_std=1.3, center_box=(-1, 1), random_state=0
    )
    return _read_only(vectors.astype(np.float32)), _read_only(labels.astype(np.int32))


@pytest.fixture(scope="session")
def separated() -> tuple[np.ndarray, np.ndarray]:
    """120 x 16 vectors of four classes far apart, and their classes."""
    from sklearn.datasets import make_blobs

    vectors, labels = make_blobs(120, 16, centers=4, center_box=(-8, 8), random_state=0)
    return _read_only(vectors.astype(np.float32)), _read_only(labels.astype(np.int32))


@pytest.fixture(scope="session")
def embeddings_of() -> Callable[..., EmbeddingSet]:
    """Make an embedding set from vectors and, level by level, the label of each row."""

    def make(
        vectors: np.ndarray,
        *labels: Sequence[str | None] | np.ndarray,
        names: Sequence[str] = ("class", "class_2", "class_3"),
        ids: Sequence[str] | None = None,
        **others: object,
    ) -> EmbeddingSet:
        identity = {"backbone": "efficientnet_lite0", "weights": {"source": "random"}}
        levels = tuple(
            Level.from_values(name, [None if v is None else str(v) for v in values])
            for name, values in zip(names, labels, strict=False)
        )
        return EmbeddingSet(
            tuple(ids) if ids else _ids(len(vectors)),
            np.asarray(vectors, dtype=np.float32),
            Provenance(identity, ()),
            levels,
            **others,  # type: ignore[arg-type]
        )

    return make


@pytest.fixture(scope="session")
def components() -> Callable[..., np.ndarray]:
    """Take scikit-learn's principal components in float64, to 2^-24 of the largest coordinate."""
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    def make(vectors: np.ndarray, wanted: float, seed: int = 0) -> np.ndarray:
        with threadpool_limits(1):
            fitted = PCA(wanted, random_state=seed).fit_transform(vectors.astype(np.float64))
        step = 2.0 ** (np.floor(np.log2(np.abs(fitted).max())) + 1 - 24)
        rounded: np.ndarray = (np.round(fitted / step) * step).astype(np.float32)
        return rounded

    return make


@pytest.fixture(scope="module")
def few_strengths() -> Iterator[None]:
    """Search two strengths of the regression: it is a baseline here, and most of the time."""
    with pytest.MonkeyPatch.context() as patched:
        for module in ("analyze.measures.probes", "analyze.head.tasks.set_baselines"):
            patched.setattr(f"{module}.GRID", (1.0, 10.0))
            patched.setattr(f"{module}.INNER_FOLDS", 2)
        yield


@pytest.fixture
def shap_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as Python what shap compiles: that takes seconds.

    The same lines with the same arrays; that it compiles is proven by test_explain_command.
    """
    from shap.explainers import _partition
    from shap.utils import _clustering, _masked_model

    for module in (_partition, _clustering, _masked_model):
        for name, compiled in list(vars(module).items()):
            if plain := getattr(compiled, "py_func", None):
                monkeypatch.setattr(module, name, plain)


@pytest.fixture
def umap_uncompiled(neighbors_uncompiled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as Python what umap-learn compiles, but for its innermost loop: that takes 20 seconds.

    The same lines with the same arrays; that all of it compiles is proven by test_conformance.
    """
    from umap import umap_, utils

    names = "fast_knn_indices smooth_knn_dist compute_membership_strengths submatrix".split()
    for module, name in itertools.product((umap_, utils), names):
        if compiled := getattr(module, name, None):
            monkeypatch.setattr(module, name, compiled.py_func)


@pytest.fixture(scope="session")
def unreduced() -> Callable[..., Reduced]:
    """Wrap coordinates as the result of a reduction, ``none`` unless said."""

    def make(coordinates: np.ndarray, reduction: str = "none", seed: int = 0) -> Reduced:
        return Reduced(_ids(len(coordinates)), coordinates, reduction, (), seed)

    return make
