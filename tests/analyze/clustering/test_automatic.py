"""The automatic choice: steadier seeds are taken and joined, and labels are never looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from analyze.clustering import automatic
from analyze.clustering.analysis import analyze_embeddings
from analyze.clustering.automatic import CANDIDATES, N_SEEDS, cluster_automatically, seeds_of
from analyze.clustering.consensus import consensus
from analyze.clustering.runs import KeptResults
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

Make = Callable[..., EmbeddingSet]
QUICK = (("none", "kmeans"), ("l2,pca:3", "spherical"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "CANDIDATES", QUICK)
    monkeypatch.setattr(
        cluster_automatically,
        "__kwdefaults__",
        {
            **cluster_automatically.__kwdefaults__,  # type: ignore[dict-item]
            "candidates": QUICK,
        },
    )


@pytest.fixture
def faint(embeddings_of: Make) -> EmbeddingSet:
    """Four groups in as many directions, rows of any length, under noise in forty."""
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 4
    vectors = rng.normal(size=(160, 40))
    vectors[:, :4] += 3 * np.eye(4)[labels]
    vectors *= rng.uniform(0.3, 3, (160, 1))
    return embeddings_of(vectors.astype(np.float32), labels)


@pytest.mark.usefixtures("quick")
def test_the_steadiest_is_taken_and_its_seeds_are_joined(
    faint: EmbeddingSet, tmp_path: Path
) -> None:
    found = cluster_automatically(faint, 4, seed=3)
    stability = {(each.reduction, each.clustering): each.stability for each in found.candidates}
    assert list(stability) == list(QUICK)
    chosen = found.chosen.reduction, found.chosen.clustering
    assert chosen == max(stability, key=stability.__getitem__) == QUICK[1]
    alone = [
        analyze_embeddings(
            faint, reduction=chosen[0], method=chosen[1], seed=seed
        ).clustering.assignments
        for seed in seeds_of(3)
    ]
    np.testing.assert_array_equal(found.clustering.assignments, consensus(alone, 4))
    pairs = [adjusted_rand_score(a, b) for i, a in enumerate(alone) for b in alone[:i]]
    assert stability[chosen] == pytest.approx(np.mean(pairs), abs=1e-12)
    assert found.why.startswith(f"{chosen[0]}, {chosen[1]}: 8 seeds agree most")
    kept = KeptResults(tmp_path / "r", tmp_path / "c")
    for _ in range(2):  # the second time from what is kept
        again = cluster_automatically(faint, 4, seed=3, kept=kept)
        assert again.to_json() == found.to_json()


@pytest.mark.usefixtures("quick")
def test_what_is_chosen_is_nearer_to_the_truth_than_plain_k_means(faint: EmbeddingSet) -> None:
    def ari(reduction: str, seed: int) -> float:
        found = analyze_embeddings(faint, reduction=reduction, seed=seed)
        return adjusted_rand_score(faint.levels[0].codes, found.clustering.assignments)

    assert min(ari("auto", seed) for seed in range(2)) > 0.8
    assert max(ari("none", seed) for seed in range(5)) < 0.6


def test_no_two_seeds_join_the_same_clusterings() -> None:
    joined = [each for seed in (0, 1, 2, 7, 2**32 - 1) for each in seeds_of(seed)]
    assert len(set(joined)) == 5 * N_SEEDS
    assert all(0 <= each < 2**32 for each in joined)
    assert seeds_of(0) == tuple(range(N_SEEDS))


def test_t_sne_of_many_pictures_is_left_out_and_that_is_said(
    faint: EmbeddingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automatic, "MOST_TSNE_ROWS", len(faint))
    assert automatic._affordable(CANDIDATES, len(faint)) == (CANDIDATES, ())
    monkeypatch.setattr(automatic, "MOST_TSNE_ROWS", len(faint) - 1)
    found = cluster_automatically(faint, 4)
    assert [each.reduction for each in found.candidates] == ["l2,pca:50"]
    assert "t-SNE is not tried on more than 159 pictures" in found.clustering.notes


@pytest.mark.usefixtures("quick")
def test_labels_are_never_looked_at(faint: EmbeddingSet) -> None:
    """Neither by the choice of a reduction, nor by that of a number of clusters."""
    faint = faint.take(np.arange(40))
    codes = faint.levels[0].codes
    shuffled = replace(faint.levels[0], codes=np.random.default_rng(0).permutation(codes))
    other = replace(faint, levels=(shuffled,))
    one, two = (
        analyze_embeddings(each, reduction="auto", n_clusters="auto") for each in (faint, other)
    )
    assert one.to_json()["automatic"] == two.to_json()["automatic"]
    assert one.to_json()["chosen_k"] == two.to_json()["chosen_k"]
    np.testing.assert_array_equal(one.clustering.assignments, two.clustering.assignments)
    assert one.to_json()["reduction"] == "auto"
    assert one.to_json()["clustering"] == "consensus"
    assert one.scores["ari"] != two.scores["ari"]


def test_a_number_of_clusters_is_chosen_on_the_reduced_rows(faint: EmbeddingSet) -> None:
    some = faint.take(np.arange(80))
    found = analyze_embeddings(some, reduction="l2,pca:3", n_clusters="auto")
    assert found.chosen_k is not None
    assert found.clustering.n_clusters == found.chosen_k.k
    assert 3 <= found.chosen_k.k <= 5
    bare = replace(faint, levels=()).take(np.arange(40))
    assert analyze_embeddings(bare, reduction="l2,pca:3", n_clusters="auto").clustering.n_clusters


def test_what_cannot_be_chosen_is_said(faint: EmbeddingSet) -> None:
    with pytest.raises(UsageError, match="leave --cluster gmm out"):
        analyze_embeddings(faint, reduction="auto", method="gmm")
    with pytest.raises(UsageError, match="finds the number of clusters"):
        analyze_embeddings(faint, method="hdbscan", n_clusters="auto")
    with pytest.raises(UsageError, match="--clusters auto"):
        analyze_embeddings(replace(faint, levels=()))
