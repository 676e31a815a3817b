"""Consensus: the clusterings' own where they agree, nearer to the truth where they err apart."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from analyze.clustering import consensus as consensus_module
from analyze.clustering.consensus import consensus


def noisy(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Renumber clusters and move a share of the pictures anywhere."""
    rng = np.random.default_rng(seed)
    k = int(labels.max()) + 1
    drawn = np.where(rng.random(len(labels)) < share, rng.integers(0, k, len(labels)), labels)
    return rng.permutation(k)[drawn]


@pytest.fixture(params=["pairs", "memberships"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "memberships":
        monkeypatch.setattr(consensus_module, "MOST_IN_PAIRS", 10)


@pytest.mark.usefixtures("either_way")
def test_equal_clusterings_are_their_own_consensus() -> None:
    labels = np.random.default_rng(0).integers(0, 5, 200)
    joined = consensus([labels, (labels + 2) % 5, 4 - labels], 5)
    assert adjusted_rand_score(labels, joined) == 1
    firsts = [int(np.flatnonzero(joined == cluster)[0]) for cluster in range(5)]
    assert firsts == sorted(firsts)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("seed", range(3))
def test_clusterings_that_err_apart_are_mended(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 6, 300)
    runs = [noisy(labels, 0.4, 100 * seed + i) for i in range(10)]
    alone = np.mean([adjusted_rand_score(labels, each) for each in runs])
    assert adjusted_rand_score(labels, consensus(runs, 6)) > alone + 0.3


@pytest.mark.usefixtures("either_way")
def test_numbers_of_clusters_and_their_order_mean_nothing() -> None:
    labels = np.arange(120) % 4
    runs = [noisy(labels, 0.2, seed) for seed in range(6)]
    renamed = [(each + 1) % 4 for each in runs]
    np.testing.assert_array_equal(consensus(runs, 4), consensus(renamed, 4))


def test_pairs_are_clustered_as_plain_code_does() -> None:
    from sklearn.cluster import AgglomerativeClustering

    labels = np.arange(90) % 3
    runs = [noisy(labels, 0.3, seed) for seed in range(8)]
    together = np.mean([each[:, None] == each[None, :] for each in runs], axis=0)
    plain = AgglomerativeClustering(3, metric="precomputed", linkage="average")
    assert adjusted_rand_score(plain.fit_predict(1 - together), consensus(runs, 3)) > 0.99


def test_a_clustering_of_other_pictures_is_refused() -> None:
    for wrong in ([], [np.zeros(3, int), np.zeros(4, int)]):
        with pytest.raises(ValueError, match="same pictures"):
            consensus(wrong, 2)
    np.testing.assert_array_equal(consensus([np.zeros(4, int)], 3), np.zeros(4, int))
    np.testing.assert_array_equal(consensus([np.zeros(1, int)], 1), [0])
