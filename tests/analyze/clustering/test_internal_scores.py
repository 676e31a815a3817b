"""Scores without labels: scikit-learn's where it is right, none where nothing can be said."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics

from analyze.clustering import internal_scores
from analyze.clustering.clustering import Clustering, cluster
from analyze.clustering.internal_scores import (
    DEFAULT_SCORES,
    INTERNAL_SCORES,
    Clustered,
    Scored,
    subsamples,
)
from analyze.reduction.reduction import Progress, Reduced, reduce
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

Planted = tuple[np.ndarray, np.ndarray]
Make = Callable[..., EmbeddingSet]

REFERENCES = {
    "silhouette": metrics.silhouette_score,
    "davies_bouldin": metrics.davies_bouldin_score,
    "calinski_harabasz": metrics.calinski_harabasz_score,
}


def reduced_by(
    embeddings: EmbeddingSet, reduction: str, seed: int, _progress: Progress | None
) -> Reduced:
    return reduce(embeddings, reduction, seed)


@pytest.fixture(scope="session")
def clustered(embeddings_of: Make) -> Callable[..., Clustered]:
    """Take assignments as a clustering of rows, or cluster them."""

    def make(
        rows: np.ndarray,
        assignments: np.ndarray | None = None,
        n_clusters: int = 4,
        method: str = "kmeans",
        reducer: internal_scores.Reducer = reduced_by,
        **others: object,
    ) -> Clustered:
        embeddings = embeddings_of(rows, **others)
        reduced = reduce(embeddings, "none")
        if assignments is None:
            found = cluster(reduced, n_clusters, 0, method)
        else:
            number = int(assignments.max()) + 1
            found = Clustering(embeddings.ids, assignments, number, method, 0)
        return Clustered(embeddings, reduced, found, reducer)

    return make


def value(name: str, clustered: Clustered) -> float | None:
    return internal_scores.internal_scores(clustered, [name])[0][name]


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("n_clusters", [2, 5, 199])
def test_a_score_equals_scikit_learn(
    overlapping: Planted, clustered: Callable[..., Clustered], name: str, n_clusters: int
) -> None:
    made = clustered(overlapping[0], n_clusters=n_clusters)
    expected = REFERENCES[name](overlapping[0].astype(np.float64), made.clustering.assignments)
    assert value(name, made) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_silhouette_is_what_its_definition_says(clustered: Callable[..., Clustered]) -> None:
    rows = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    assignments = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3])
    wide = rows.astype(np.float64)
    apart = np.linalg.norm(wide[:, None] - wide[None], axis=2)
    each = []
    for i, own in enumerate(assignments):
        inside = [apart[i, j] for j in range(12) if assignments[j] == own and j != i]
        outside = min(apart[i, assignments == c].mean() for c in range(4) if c != own)
        a = np.mean(inside) if inside else None
        each.append(0 if a is None else (outside - a) / max(a, outside))
    expected = np.mean(each)
    assert value("silhouette", clustered(rows, assignments)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-25, 1e20])
@pytest.mark.parametrize("name", DEFAULT_SCORES)
def test_a_score_does_not_change_with_the_scale(
    separated: Planted, clustered: Callable[..., Clustered], name: str, scale: float
) -> None:
    rows, planted = separated
    scaled = clustered(rows * np.float32(scale), planted)
    assert value(name, scaled) == pytest.approx(value(name, clustered(rows, planted)), rel=1e-5)


def test_many_rows_are_sampled_by_seed_and_that_is_said(
    separated: Planted, clustered: Callable[..., Clustered], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clustered(*separated)
    whole = value("silhouette", made)
    monkeypatch.setattr(internal_scores, "SILHOUETTE_ROWS", 60)
    first, second = (internal_scores.internal_scores(made) for _ in range(2))
    assert first == second
    assert first[1] == ("silhouette is of 60 of 120 rows, drawn by seed",)
    assert first[0]["silhouette"] != whole
    assert first[0]["silhouette"] == pytest.approx(whole, abs=0.05)


@pytest.mark.parametrize("name", INTERNAL_SCORES)
@pytest.mark.parametrize(
    ("rows", "assignments"),
    [
        (np.eye(5), np.zeros(5, int)),
        (np.eye(5), np.arange(5)),
        (np.ones((5, 2)), np.array([0, 0, 1, 1, 1])),
        (np.ones((1, 2)), np.zeros(1, int)),
        (np.eye(2), np.array([0, 1])),
    ],
)
def test_what_is_not_informative_is_none(
    clustered: Callable[..., Clustered], name: str, rows: np.ndarray, assignments: np.ndarray
) -> None:
    assert value(name, clustered(rows, assignments)) is None


def test_clusters_of_equal_rows_have_no_ratio_of_variances(
    clustered: Callable[..., Clustered],
) -> None:
    """Scikit-learn says 1, the worst, where each cluster is one point."""
    rows, assignments = np.repeat(np.eye(3), 4, axis=0), np.repeat(np.arange(3), 4)
    made = clustered(rows, assignments)
    assert value("calinski_harabasz", made) is None
    assert value("silhouette", made) == 1
    assert value("davies_bouldin", made) == 0


def test_all_scores_say_which_of_two_partitions_is_the_planted(
    separated: Planted, clustered: Callable[..., Clustered]
) -> None:
    rows, planted = separated
    shuffled = np.random.default_rng(0).permutation(planted)
    for name in DEFAULT_SCORES:
        good, bad = (value(name, clustered(rows, labels)) for labels in (planted, shuffled))
        assert good is not None
        assert bad is not None
        assert (good < bad) if name == "davies_bouldin" else (good > bad)


def test_an_unknown_score_names_the_choices(clustered: Callable[..., Clustered]) -> None:
    with pytest.raises(UsageError, match="no score 'gap': choose one of silhouette, davies"):
        value("gap", clustered(np.eye(4)))


# silhouette in UMAP space


def test_umap_silhouette_is_that_of_the_vectors_in_umap_space(
    separated: Planted, clustered: Callable[..., Clustered]
) -> None:
    asked = []

    def reducer(embeddings: EmbeddingSet, steps: str, seed: int, _: Progress | None) -> Reduced:
        asked.append((steps, seed))
        placed = embeddings.vectors[:, :2]
        return Reduced(embeddings.ids, placed, steps, ({"n_neighbors": 15},), seed, ("umap: so",))

    rows, planted = separated
    made = clustered(rows, planted, reducer=reducer)
    scores, notes = internal_scores.internal_scores(made, ["umap_silhouette"])
    expected = metrics.silhouette_score(rows[:, :2].astype(np.float64), planted)
    assert scores["umap_silhouette"] == pytest.approx(expected, abs=1e-12)
    assert asked == [("umap", 0)]
    assert notes == ("umap_silhouette: umap: so",)


def test_umap_silhouette_needs_umap(clustered: Callable[..., Clustered]) -> None:
    rows = np.arange(9, dtype=np.float32)[:, None]
    made = clustered(rows, np.arange(9) // 5)
    scores, notes = internal_scores.internal_scores(made, ["umap_silhouette"])
    assert scores == {"umap_silhouette": None}
    assert notes == ("umap_silhouette: umap: 9 rows are too few, it is left out",)


# stability


def test_stability_is_the_mean_ari_of_subsamples_on_shared_rows(
    overlapping: Planted, clustered: Callable[..., Clustered]
) -> None:
    made = clustered(overlapping[0], n_clusters=5)
    found = []
    for number, rows in enumerate(subsamples(np.arange(200), 0)):
        part = reduce(overlapping[0][rows], "none")
        assignments = cluster(part, 5, number).assignments.tolist()
        found.append(dict(zip(rows.tolist(), assignments, strict=True)))
    agreed = []
    for one, other in itertools.combinations(found, 2):
        shared = sorted(one.keys() & other.keys())
        agreed.append(
            metrics.adjusted_rand_score([one[i] for i in shared], [other[i] for i in shared])
        )
    assert len(agreed) == 45
    assert value("stability", made) == pytest.approx(np.mean(agreed), abs=1e-12)


def test_stability_tells_planted_clusters_from_none(
    separated: Planted, clustered: Callable[..., Clustered]
) -> None:
    assert value("stability", clustered(separated[0])) == 1
    noise = np.random.default_rng(0).normal(size=(120, 16))
    without = value("stability", clustered(noise))
    assert without is not None
    assert without < 0.5


@pytest.mark.parametrize("method", ["agglomerative", "hdbscan"])
def test_stability_is_of_the_same_method(
    separated: Planted, clustered: Callable[..., Clustered], method: str
) -> None:
    assert value("stability", clustered(separated[0], method=method)) == 1


def test_subsamples_are_four_fifths_and_keep_copies_together() -> None:
    units = np.repeat(np.arange(50), [1, 2, 3, 4, 10] * 10)
    drawn = subsamples(units, 3)
    assert len(drawn) == 10
    assert len({rows.tobytes() for rows in drawn}) == 10
    for rows in drawn:
        inside = set(units[rows].tolist())
        assert len(inside) == 40
        assert rows.tolist() == [i for i in range(len(units)) if units[i] in inside]
    assert [a.tolist() for a in drawn] == [b.tolist() for b in subsamples(units, 3)]
    assert [a.tolist() for a in drawn] != [b.tolist() for b in subsamples(units, 4)]


def test_stability_draws_copies_together(
    clustered: Callable[..., Clustered], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = np.repeat(np.arange(1, 11, dtype=np.uint8), 3)[:, None].repeat(32, axis=1)
    rows = np.random.default_rng(0).normal(size=(30, 3))
    seen = []

    def told(units: np.ndarray, seed: int) -> list[np.ndarray]:
        seen.append(units.tolist())
        return subsamples(units, seed)

    monkeypatch.setattr(internal_scores, "subsamples", told)
    assert value("stability", clustered(rows, content_sha256=hashes)) is not None
    assert seen == [np.repeat(np.arange(10), 3).tolist()]


def test_too_few_rows_have_no_stability() -> None:
    assert subsamples(np.array([7, 7, 9]), 0) == []


def test_pairs_that_put_all_rows_together_say_nothing(
    clustered: Callable[..., Clustered], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clustered(np.random.default_rng(0).normal(size=(20, 2)))
    calm = Clustering(("a",) * 16, np.zeros(16, int), 4, "kmeans", 0)
    monkeypatch.setattr(internal_scores, "cluster", lambda *_: calm)
    assert internal_scores.stability(made) == Scored(None)


@pytest.mark.parametrize("name", REFERENCES)
def test_noise_is_no_cluster_of_a_score(name: str, clustered: Callable[..., Clustered]) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(60, 3)).astype(np.float32)
    assignments = random.integers(-1, 3, 60)
    found = clustered(rows, assignments, method="hdbscan")
    inside = assignments != -1
    wanted = REFERENCES[name](rows[inside].astype(np.float64), assignments[inside])
    assert value(name, found) == pytest.approx(wanted)
    _, notes = internal_scores.internal_scores(found, [name])
    assert notes == (f"{name}: on the rows that are in a cluster, without noise",)
    assert value(name, clustered(rows, np.minimum(assignments, 0), method="hdbscan")) is None
