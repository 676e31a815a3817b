"""One analysis: equal to plain scikit-learn, and honest about what cannot be had."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

import analyze
from analyze.clustering.analysis import analyze_embeddings
from analyze.clustering.clustering import CLUSTERINGS
from analyze.clustering.internal_scores import DEFAULT_SCORES, INTERNAL_SCORES
from analyze.clustering.result import Analysis
from analyze.clustering.runs import Execution
from analyze.measures.agreement import METRICS
from analyze.measures.levels import choose_level
from analyze.neighbors.indexes.exact_search import one_nn_accuracy
from analyze.reduction.reduction import Reduced
from extract.catalog.catalog import Level
from extract.errors import SosieError, UsageError
from extract.storage.embeddings import EmbeddingSet

Planted = tuple[np.ndarray, np.ndarray]
Embed = Callable[..., EmbeddingSet]
WITH_LABELS = {*METRICS, "one_nn_accuracy"}
SCORES = WITH_LABELS | {*DEFAULT_SCORES}


class Unreduced(Execution):
    def reduce(self, *_: object) -> Reduced:
        raise AssertionError("reduced")


def with_labels(analysis: Analysis) -> dict[str, float | None]:
    return {name: analysis.scores[name] for name in WITH_LABELS}


def noted(analysis: Analysis, words: str) -> bool:
    return any(words in note for note in analysis.notes)


@pytest.mark.parametrize("reduction", ["none", "pca:0.99"])
@pytest.mark.parametrize("seed", range(10))
def test_ari_equals_plain_scikit_learn(
    overlapping: Planted, embeddings_of: Embed, reduction: str, seed: int
) -> None:
    vectors, labels = overlapping
    with threadpool_limits(1):
        rows = vectors
        if reduction != "none":
            rows = PCA(0.99, random_state=seed).fit_transform(vectors)
        fitted = KMeans(5, n_init=10, random_state=seed).fit(rows)
    expected = adjusted_rand_score(labels, fitted.labels_)
    assert 0.2 < expected < 0.99
    analysis = analyze_embeddings(embeddings_of(vectors, labels), reduction=reduction, seed=seed)
    assert analysis.scores["ari"] == expected


def test_iris_has_its_published_scores(embeddings_of: Embed) -> None:
    vectors, species = load_iris(return_X_y=True)
    analysis = analyze_embeddings(embeddings_of(vectors, species))
    assert analysis.scores["ari"] == pytest.approx(0.7302, abs=5e-5)
    assert analysis.scores["nmi"] == pytest.approx(0.7582, abs=5e-5)
    assert analysis.scores["matched_accuracy"] == 134 / 150
    assert analysis.agreement is not None
    assert analysis.agreement.confusion.tolist() == [[50, 0, 0], [0, 48, 2], [0, 14, 36]]


@pytest.mark.parametrize("reduction", ["none", "l2", "pca:3", "tsne:20"])
def test_planted_classes_are_found(
    separated: Planted, embeddings_of: Embed, reduction: str
) -> None:
    vectors, labels = separated
    analysis = analyze_embeddings(embeddings_of(vectors, labels), reduction=reduction)
    assert with_labels(analysis) == pytest.approx(dict.fromkeys(WITH_LABELS, 1.0))
    assert analysis.notes == ()


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_planted_classes_are_found_by_each_clustering(
    separated: Planted, embeddings_of: Embed, method: str
) -> None:
    vectors, labels = separated
    analysis = analyze_embeddings(embeddings_of(vectors, labels), method=method, seed=2)
    assert with_labels(analysis) == pytest.approx(dict.fromkeys(WITH_LABELS, 1.0))
    said = analysis.to_json()
    assert (said["clustering"], said["n_clusters"], said["seed"]) == (method, 4, 2)


def test_a_number_that_is_found_is_neither_given_nor_asked_for(
    separated: Planted, embeddings_of: Embed
) -> None:
    vectors, labels = separated
    unlabelled = analyze_embeddings(embeddings_of(vectors), method="hdbscan")
    assert adjusted_rand_score(labels, unlabelled.clustering.assignments) == 1
    with pytest.raises(
        UsageError, match="hdbscan finds the number of clusters: leave --clusters out"
    ):
        analyze_embeddings(embeddings_of(vectors, labels), method="hdbscan", n_clusters=4)


def test_an_unknown_clustering_is_refused_before_anything_is_reduced(embeddings_of: Embed) -> None:
    with pytest.raises(UsageError, match="no clustering 'means'"):
        analyze_embeddings(
            embeddings_of(np.eye(4), list("aabb")), method="means", execution=Unreduced()
        )


def test_scores_without_labels_are_those_of_the_reduced_rows(
    overlapping: Planted, embeddings_of: Embed
) -> None:
    embeddings = embeddings_of(overlapping[0])
    analysis = analyze_embeddings(embeddings, reduction="pca:3", n_clusters=4)
    rows = analysis.reduced.coordinates.astype(np.float64)
    expected = silhouette_score(rows, analysis.clustering.assignments)
    assert analysis.scores["silhouette"] == pytest.approx(expected, abs=1e-12)
    asked = analyze_embeddings(embeddings, n_clusters=4, without_labels=["stability"])
    assert set(asked.scores) == WITH_LABELS | {"stability"}
    with pytest.raises(UsageError, match=f"no score 'gap': .* {', '.join(INTERNAL_SCORES)}"):
        analyze_embeddings(embeddings, n_clusters=4, without_labels=["gap"])


def test_one_nn_accuracy_is_of_the_vectors_whatever_the_reduction(
    overlapping: Planted, embeddings_of: Embed
) -> None:
    vectors, labels = overlapping
    expected = one_nn_accuracy(vectors, labels).accuracy
    for reduction in ("none", "pca:1"):
        analysis = analyze_embeddings(embeddings_of(vectors, labels), reduction=reduction)
        assert analysis.scores["one_nn_accuracy"] == expected


def test_rows_of_zeros_are_said(embeddings_of: Embed) -> None:
    vectors = np.eye(6, dtype=np.float32)
    vectors[2] = 0
    analysis = analyze_embeddings(embeddings_of(vectors, list("aabbcc")))
    assert noted(analysis, "1 rows of zeros")


def test_reductions_that_are_kept_are_read(
    overlapping: Planted, embeddings_of: Embed, tmp_path: Path
) -> None:
    embeddings = embeddings_of(*overlapping)
    kept = Execution(tmp_path)
    first = analyze_embeddings(embeddings, reduction="pca:2", seed=3, execution=kept)
    (stored,) = tmp_path.glob("*.npy")
    coordinates = np.load(stored)
    assert np.array_equal(coordinates, first.reduced.coordinates)
    assert analyze_embeddings(embeddings, reduction="pca:2", seed=3).to_json() == first.to_json()
    again = analyze_embeddings(embeddings, reduction="pca:2", seed=3, execution=kept)
    assert again.reduced.place is None  # of kept ones only the coordinates are
    assert again.to_json() == first.to_json()


def test_the_embeddings_are_never_modified(overlapping: Planted, embeddings_of: Embed) -> None:
    embeddings = embeddings_of(overlapping[0].copy(), overlapping[1])
    before = embeddings.fingerprint
    analyze_embeddings(embeddings, reduction="l2,pca:5")
    assert embeddings.fingerprint == before


# levels


def test_the_first_level_is_the_default(embeddings_of: Embed) -> None:
    embeddings = embeddings_of(np.eye(4), list("aabb"), list("abcd"), names=["kind", "kind_2"])
    assert analyze_embeddings(embeddings).to_json()["level"] == "kind"
    assert analyze_embeddings(embeddings).clustering.n_clusters == 2


@pytest.mark.parametrize("wanted", ["kind_2", "2"])
def test_a_level_is_chosen_by_name_or_number(embeddings_of: Embed, wanted: str) -> None:
    embeddings = embeddings_of(np.eye(4), list("aabb"), list("abcd"), names=["kind", "kind_2"])
    analysis = analyze_embeddings(embeddings, level=wanted)
    assert analysis.to_json()["level"] == "kind_2"
    assert analysis.clustering.n_clusters == 4


@pytest.mark.parametrize("wanted", ["color", "0", "3", "-1", ""])
def test_an_unknown_level_lists_those_there_are(embeddings_of: Embed, wanted: str) -> None:
    embeddings = embeddings_of(np.eye(4), list("aabb"), list("abcd"), names=["kind", "kind_2"])
    with pytest.raises(UsageError, match="1 kind, 2 kind_2"):
        analyze_embeddings(embeddings, level=wanted)


def test_a_level_that_is_called_a_number_goes_by_its_name() -> None:
    first, second = Level.from_values("2", ["a"]), Level.from_values("year", ["b"])
    assert choose_level((first, second), "2") is first


def test_a_level_of_a_catalogue_without_labels_is_refused(embeddings_of: Embed) -> None:
    with pytest.raises(UsageError, match="no labels"):
        analyze_embeddings(embeddings_of(np.eye(4)), level="class", n_clusters=2)


# degenerate numbers


@pytest.mark.parametrize("reduction", ["none", "l2", "pca:2", "tsne"])
def test_no_picture_is_refused(embeddings_of: Embed, reduction: str) -> None:
    with pytest.raises(SosieError):
        analyze_embeddings(embeddings_of(np.empty((0, 4))), reduction=reduction, n_clusters=1)


@pytest.mark.parametrize("reduction", ["none", "l2", "pca:2", "tsne"])
def test_one_picture_has_no_score(embeddings_of: Embed, reduction: str) -> None:
    analysis = analyze_embeddings(embeddings_of(np.ones((1, 4)), ["a"]), reduction=reduction)
    assert analysis.scores == dict.fromkeys(SCORES)
    assert noted(analysis, "1 image")
    assert analysis.clustering.assignments.tolist() == [0]


def test_a_wrong_word_is_said_for_one_picture_too(embeddings_of: Embed) -> None:
    with pytest.raises(UsageError, match="no reduction 'umax'"):
        analyze_embeddings(embeddings_of(np.ones((1, 4)), ["a"]), reduction="umax")


@pytest.mark.parametrize("labels", [(), ([None] * 6,)])
def test_without_labels_a_number_of_clusters_is_asked_for(
    embeddings_of: Embed, labels: tuple[list[None], ...]
) -> None:
    with pytest.raises(UsageError, match="--clusters"):
        analyze_embeddings(embeddings_of(np.eye(6), *labels))


@pytest.mark.parametrize("labels", [(), ([None] * 120,)])
def test_without_labels_the_rows_are_clustered_all_the_same(
    separated: Planted, embeddings_of: Embed, labels: tuple[list[None], ...]
) -> None:
    vectors, planted = separated
    analysis = analyze_embeddings(embeddings_of(vectors, *labels), n_clusters=4)
    assert adjusted_rand_score(planted, analysis.clustering.assignments) == 1
    assert with_labels(analysis) == dict.fromkeys(WITH_LABELS)
    assert analysis.scores["silhouette"] == pytest.approx(silhouette_score(vectors, planted))
    assert analysis.to_json()["confusion"] is None
    assert noted(analysis, "no labels")


def test_one_class_is_not_informative(overlapping: Planted, embeddings_of: Embed) -> None:
    embeddings = embeddings_of(overlapping[0], ["a"] * 200)
    analysis = analyze_embeddings(embeddings, n_clusters=3)
    assert noted(analysis, "one class")
    assert with_labels(analysis) == dict.fromkeys(WITH_LABELS)


def test_rows_without_a_label_are_clustered_but_not_scored(
    overlapping: Planted, embeddings_of: Embed
) -> None:
    vectors, classes = overlapping
    labels = [None if i % 4 == 0 else str(c) for i, c in enumerate(classes)]
    analysis = analyze_embeddings(embeddings_of(vectors, labels))
    assignments = analysis.clustering.assignments
    kept = np.arange(200) % 4 != 0
    assert len(assignments) == 200
    assert analysis.scores["ari"] == adjusted_rand_score(classes[kept], assignments[kept])
    assert (
        analysis.scores["one_nn_accuracy"] == one_nn_accuracy(vectors[kept], classes[kept]).accuracy
    )
    assert analysis.to_json()["n_labelled"] == 150
    assert noted(analysis, "150 rows with a label")


def test_classes_without_a_row_ask_for_no_cluster(embeddings_of: Embed) -> None:
    embeddings = embeddings_of(np.eye(4), list("aabb"))
    gone = Level("class", ("a", "b", "c"), np.array([0, 0, 2, 2], dtype=np.int32))
    taken = EmbeddingSet(embeddings.ids, embeddings.vectors, embeddings.provenance, (gone,))
    analysis = analyze_embeddings(taken)
    assert analysis.clustering.n_clusters == 2
    assert analysis.to_json()["confusion"]["classes"] == ["a", "c"]


def test_equal_rows_are_one_cluster_and_said(embeddings_of: Embed) -> None:
    analysis = analyze_embeddings(embeddings_of(np.ones((6, 3)), list("aabbcc")))
    assert analysis.clustering.n_found == 1
    assert noted(analysis, "3 clusters lowered to 1")
    assert analysis.scores["ari"] == 0
    confusion = analysis.to_json()["confusion"]
    assert confusion["classes"] == ["a", "b", "c"]
    assert np.sum(confusion["counts"]) == 6


@pytest.mark.parametrize("reduction", ["pca:2", "tsne"])
def test_equal_rows_cannot_be_reduced(embeddings_of: Embed, reduction: str) -> None:
    with pytest.raises(UsageError, match="rows are equal"):
        analyze_embeddings(embeddings_of(np.ones((6, 3)), list("aabbcc")), reduction=reduction)


@pytest.mark.parametrize("n_clusters", [-2, 0, 7])
@pytest.mark.parametrize("labels", [(), (list("aabbcc"),)])
def test_a_number_of_clusters_that_does_not_fit_is_refused(
    embeddings_of: Embed, labels: tuple[list[str], ...], n_clusters: int
) -> None:
    with pytest.raises(UsageError, match="between 1 and 6"):
        analyze_embeddings(embeddings_of(np.eye(6), *labels), n_clusters=n_clusters)


@pytest.mark.parametrize("n_clusters", [2, 7])
def test_clusters_need_not_be_as_many_as_classes(
    overlapping: Planted, embeddings_of: Embed, n_clusters: int
) -> None:
    vectors, labels = overlapping
    confusion = analyze_embeddings(embeddings_of(vectors, labels), n_clusters=n_clusters).to_json()[
        "confusion"
    ]
    assert np.shape(confusion["counts"]) == (5, n_clusters)
    assert np.sum(confusion["counts"]) == 200
    assert len(confusion["matched"]) == min(5, n_clusters)


@pytest.mark.parametrize("reduction", ["none", "pca:0.99"])
def test_huge_numbers_give_a_whole_answer(
    separated: Planted, embeddings_of: Embed, reduction: str
) -> None:
    vectors, labels = separated
    embeddings = embeddings_of(vectors * np.float32(1e20), labels)
    analysis = analyze_embeddings(embeddings, reduction=reduction)
    assert with_labels(analysis) == pytest.approx(dict.fromkeys(WITH_LABELS, 1.0))
    ordinary = analyze_embeddings(embeddings_of(vectors, labels), reduction=reduction)
    assert analysis.internal == pytest.approx(dict(ordinary.internal), rel=1e-6)
    json.dumps(analysis.to_json(), allow_nan=False)


# what programs read


def test_the_promised_keys_are_there(overlapping: Planted, embeddings_of: Embed) -> None:
    vectors, labels = overlapping
    embeddings = embeddings_of(vectors, labels, left_out={"to_do": 2, "truncated": 1})
    said = analyze_embeddings(embeddings, reduction="l2,pca:0.9", seed=4).to_json()
    promised = {
        *("model", "weights", "n_images", "left_out", "level", "reduction", "clustering"),
        *("n_clusters", "seed", "scores", "confusion"),
    }
    assert promised <= set(said)
    assert (said["model"], said["weights"]) == ("efficientnet_lite0", "random")
    assert (said["n_images"], said["left_out"], said["level"]) == (200, 3, "class")
    assert (said["reduction"], said["clustering"]) == ("l2,pca:0.9", "kmeans")
    assert (said["n_clusters"], said["seed"]) == (5, 4)
    assert set(said["scores"]) == SCORES
    assert {"classes", "clusters", "counts", "matched"} <= set(said["confusion"])


def test_matched_clusters_are_spelled_as_the_matrix_shows_them(
    overlapping: Planted, embeddings_of: Embed
) -> None:
    vectors, labels = overlapping
    said = analyze_embeddings(embeddings_of(vectors, labels), n_clusters=7).to_json()
    confusion = said["confusion"]
    for i, name in enumerate(confusion["classes"]):
        assert confusion["matched"][str(confusion["clusters"][i])] == name
    right = sum(confusion["counts"][i][i] for i in range(5))
    assert said["scores"]["matched_accuracy"] == right / 200
    assert [c["recall"] for c in said["classes"]] == [
        confusion["counts"][i][i] / sum(confusion["counts"][i]) for i in range(5)
    ]


@pytest.mark.parametrize(
    ("labels", "n_clusters", "reduction"),
    [
        (list("aabbcc"), None, "none"),
        (list("aabbcc"), 5, "pca:9"),
        (["a", None, "b", None, None, "b"], 2, "l2"),
        ([None] * 6, 3, "none"),
        (["a"] * 6, 2, "tsne:2"),
    ],
)
def test_the_answer_is_json_without_nan_and_the_same_twice(
    embeddings_of: Embed, labels: list[str | None], n_clusters: int | None, reduction: str
) -> None:
    embeddings = embeddings_of(np.random.default_rng(0).normal(size=(6, 4)), labels)
    first, second = (
        analyze_embeddings(embeddings, reduction=reduction, n_clusters=n_clusters).to_json()
        for _ in range(2)
    )
    assert first == second
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def test_the_public_name_is_this_function() -> None:
    assert analyze.analyze_embeddings is analyze_embeddings
