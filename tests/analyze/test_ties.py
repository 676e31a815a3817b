"""Equal rows have equal answers, whatever the kernel that multiplies and the place in a block.

12 groups of equal rows, as products of float32 part them: 525 x 1,280, brute force in float64.
"""

from __future__ import annotations

import numpy as np
import pytest

from analyze.clustering.clustering import CLUSTERINGS, cluster
from analyze.clustering.methods import spherical
from analyze.explanation.class_targets import cluster_target
from analyze.explanation.targets import neighbor_target
from analyze.head.tasks.baselines import elected, fit_nearest
from analyze.head.tasks.set_baselines import fit_shares
from analyze.head.training.inputs import Scaling
from analyze.head.training.network import Head, HeadSpec, build_network
from analyze.measures.probes import fit_linear_probe, linear_probe, nearest_vote
from analyze.neighbors.diversity import MarginalRelevance
from analyze.neighbors.indexes.approximate_index import ApproximateIndex
from analyze.neighbors.indexes.exact_search import ExactIndex, nearest_others, one_nn_accuracy
from analyze.neighbors.indexes.index_types import INDEX_KINDS, IndexKind, build
from analyze.neighbors.retrieval import rank_all
from analyze.pictures.near_duplicates import NEAR_COSINE, find_copies
from analyze.reduction.reduction import Reduced, reduce
from analyze.ties import first_occurrence, first_of_greatest
from analyze.unit_vectors import unit_rows

pytestmark = pytest.mark.numbers

N, N_DIMS, N_DIFFERENT = 525, 1280, 12
Doubled = tuple[np.ndarray, np.ndarray]


def doubled(seed: int, n: int = N, n_different: int = N_DIFFERENT) -> Doubled:
    """Draw rows of few kinds, as a ReLU leaves them, and which kind each is."""
    rng = np.random.default_rng(seed)
    kinds = np.maximum(rng.normal(size=(n_different, N_DIMS)), 0).astype(np.float32)
    kind = rng.permutation(np.arange(n) % n_different)
    return kinds[kind], kind


@pytest.fixture(scope="module", params=range(2))
def rows(request: pytest.FixtureRequest) -> Doubled:
    return doubled(request.param)


@pytest.fixture(scope="module")
def order(rows: Doubled) -> np.ndarray:
    """All rows by their cosine with each, best first, ties by row: brute force in float64."""
    vectors, kind = rows
    kinds = np.stack([vectors[kind == number][0] for number in range(N_DIFFERENT)])
    exact = kinds.astype(np.float64)
    lengths = np.sqrt((exact**2).sum(axis=1))
    cosines = np.array([[(a * b).sum() for b in exact] for a in exact]) / np.outer(lengths, lengths)
    return np.array(
        [sorted(range(N), key=lambda j: (-cosines[kind[i], kind[j]], j)) for i in range(N)]
    )


def without_itself(order: np.ndarray, k: int) -> np.ndarray:
    return np.array([[j for j in own[: k + 1] if j != i][:k] for i, own in enumerate(order)])


def test_the_nearest_are_the_lowest_of_equal_rows(rows: Doubled, order: np.ndarray) -> None:
    vectors, _ = rows
    labels = np.random.default_rng(7).integers(0, 3, N)
    expected = without_itself(order, 20)
    found = nearest_others(vectors, 20, np.arange(N))
    assert (found == expected).all()
    accuracy = one_nn_accuracy(vectors, labels).accuracy
    assert accuracy == (labels[expected[:, 0]] == labels).mean()
    for k in (1, 5, 20):
        right = elected(labels[expected[:, :k]]) == labels
        assert (nearest_vote(found, labels, k) == right).all()


def test_copies_of_one_number_are_passed_over(rows: Doubled, order: np.ndarray) -> None:
    vectors, kind = rows
    groups = np.where(np.arange(N) % 2, kind, N_DIFFERENT + np.arange(N))
    expected = [[j for j in own if groups[j] != groups[i]][:5] for i, own in enumerate(order)]
    assert nearest_others(vectors, 5, groups).tolist() == expected


def test_scaled_copies_have_the_lower_one_as_nearest(rows: Doubled) -> None:
    vectors, _ = rows
    scales = np.float32(2) ** np.random.default_rng(0).integers(-9, 9, (N, 1))
    expected = nearest_others(vectors, 3, np.arange(N))
    assert (nearest_others(vectors * scales, 3, np.arange(N)) == expected).all()


def test_neighbors_that_vote_are_the_lowest_of_equal_rows(rows: Doubled, order: np.ndarray) -> None:
    vectors, _ = rows
    labels = np.random.default_rng(8).integers(0, 3, N)
    has = labels[:, None] == np.arange(3)
    assert (fit_nearest(vectors, labels)(vectors) == elected(labels[order[:, :5]])).all()
    assert (fit_shares(vectors, has)(vectors) == has[order[:, :5]].mean(axis=1)).all()


def test_the_index_finds_the_lowest_of_equal_rows(rows: Doubled, order: np.ndarray) -> None:
    vectors, _ = rows
    found = ExactIndex(vectors).find(vectors, 60).rows
    assert (np.stack(found) == order[:, :60]).all()


def test_retrieval_ranks_equal_rows_by_row(rows: Doubled, order: np.ndarray) -> None:
    vectors, _ = rows
    codes = np.random.default_rng(9).integers(0, 3, N)
    ranked = rank_all(vectors, codes, np.arange(N), n_shown=60)
    assert (ranked.nearest == without_itself(order, 60)).all()
    right = codes[without_itself(order, N - 1)] == codes[:, None]
    expected = [np.mean(np.arange(1, r.sum() + 1) / (np.flatnonzero(r) + 1)) for r in right]
    assert (ranked.average_precision == expected).all()


def test_pairs_at_the_limit_are_copies_or_not_whatever_their_place() -> None:
    """Kinds of rows whose cosine with the first is the limit, but for what float32 cannot tell."""
    rng = np.random.default_rng(0)
    base, other = rng.normal(size=(2, N_DIMS))
    base /= np.linalg.norm(base)
    other -= base * (base @ other)
    other /= np.linalg.norm(other)
    angles = np.arccos(NEAR_COSINE) + np.linspace(-2e-7, 2e-7, 11)
    kinds = np.outer(np.cos(angles), base) + np.outer(np.sin(angles), other)
    kinds = np.concatenate([base[None], kinds * rng.uniform(0.5, 2, (11, 1))]).astype(np.float32)
    exact = kinds.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    near = exact @ exact[0] >= NEAR_COSINE
    assert 0 < near[1:].sum() < 11
    apart = rng.normal(size=(N, N_DIMS)).astype(np.float32)
    for number in range(1, 12):
        vectors, pairs = apart.copy(), rng.permutation(N)[:10]
        vectors[pairs] = kinds[[0, number]][np.arange(10) % 2]
        groups = find_copies(vectors, None).groups[pairs]
        assert len(np.unique(groups)) == (1 if near[number] else 2)


@pytest.mark.parametrize("kind_of_index", INDEX_KINDS, ids=lambda kind: kind.name)
def test_an_index_answers_equal_rows_alike_and_with_the_lowest(kind_of_index: IndexKind) -> None:
    vectors, kind = doubled(4, 480, 40)  # copies that all are proposed
    known = np.arange(480)
    built = build(kind_of_index, vectors, known, None)
    index = ApproximateIndex(vectors, known, built, kind_of_index, kind_of_index.steps(480)[-1])
    found = np.stack(index.find(vectors, 5).rows)
    own = np.stack([np.flatnonzero(kind == number)[:5] for number in kind])
    assert (found == own).all()


def of_one_kind(found: np.ndarray, kind: np.ndarray) -> bool:
    """Say whether each kind has one answer."""
    return len(np.unique(np.column_stack([kind, found]), axis=0)) == len(np.unique(kind))


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_equal_rows_are_in_one_cluster(method: str) -> None:
    """Pairs that lie midway between two centers."""
    rng = np.random.default_rng(1)
    ends = np.maximum(rng.normal(size=(2, N_DIMS)), 0)
    ends[1] *= np.linalg.norm(ends[0]) / np.linalg.norm(ends[1])
    apart = 0.01 * rng.normal(size=(60, N_DIMS))
    sides = np.concatenate([ends[0] + apart, ends[1] + apart, np.tile(ends.mean(axis=0), (20, 1))])
    kind = np.concatenate([np.arange(120), np.full(20, 120)])
    moved = rng.permutation(140)
    coordinates, kind = sides.astype(np.float32)[moved], kind[moved]
    reduced = Reduced(tuple(map(str, range(140))), coordinates, "none", (), 0)
    for n_clusters in (2, 20):
        assert of_one_kind(cluster(reduced, n_clusters, 0, method).assignments, kind)


def test_an_empty_cluster_gets_all_rows_of_a_kind() -> None:
    """Directions so alike that centers at them are level: all rows go to the first."""
    rng = np.random.default_rng(0)
    base = np.maximum(rng.normal(size=N_DIMS), 0)
    kinds = (base + 2e-5 * rng.normal(size=(3, N_DIMS))).astype(np.float32)
    kind = rng.permutation(np.arange(120) % 3)
    found = spherical(kinds[kind], 3, 0).assignments
    assert of_one_kind(found, kind)
    assert len(np.unique(found)) == 3


@pytest.mark.parametrize("steps", ["l2", "l2,pca:5", "pca:0.9", "pca:5,tsne:5"])
def test_equal_rows_lie_in_one_place(steps: str) -> None:
    vectors, kind = doubled(0, 60)
    reduced = reduce(vectors, steps)
    assert of_one_kind(first_occurrence(reduced.coordinates), kind)
    assert reduced.place is not None
    placed = reduced.place(vectors[:30])
    assert of_one_kind(first_occurrence(placed), kind[:30])


def test_a_probe_says_the_same_of_equal_rows() -> None:
    """Of labels that are level for every picture, the first is said, not what rounding prefers."""
    vectors, kind = doubled(3, 240, 40)
    labels = np.empty(240, int)
    for number in range(40):
        labels[kind == number] = [0, 0, 0, 1, 1, 1]
    training_set = np.arange(240)
    said = fit_linear_probe(vectors, labels, training_set)(vectors)
    assert (said == 0).all()
    folds = np.tile(np.arange(2), 120)
    for number in range(40):
        folds[kind == number] = [0, 0, 1, 1, 0, 1]
    right = linear_probe(vectors, labels, training_set, folds)
    for number in range(40):
        own = kind == number
        for fold in (0, 1):
            both = labels[own & (folds == fold)] == 0
            answers = right[own & (folds == fold)] == both
            assert len(set(answers.tolist())) == 1


def test_a_head_says_the_same_of_equal_rows() -> None:
    vectors, kind = doubled(0)
    spec = HeadSpec(width=64, depth=1)
    weights = {k: v.numpy() for k, v in build_network(N_DIMS, [7], spec, 0).state_dict().items()}
    head = Head(spec, Scaling.learned(vectors), (np.arange(7),), weights)
    (logits,) = head.logits(vectors)
    assert of_one_kind(first_occurrence(logits), kind)


def test_what_is_explained_is_the_lower_of_equal_ones() -> None:
    vectors, kind = doubled(0)
    target = neighbor_target([str(i) for i in range(N)], vectors)
    firsts = np.array([np.flatnonzero(kind == number)[0] for number in range(N_DIFFERENT)])
    assert (target.answer(vectors) == firsts[kind]).all()
    # two clusters of one center
    halves = np.concatenate([np.arange(N) % 2 for _ in range(2)])
    target = cluster_target(np.concatenate([vectors, vectors[::-1]]), halves, {})
    twice = np.concatenate([vectors, vectors])
    clusters = np.concatenate([kind, N_DIFFERENT + kind])
    assert (cluster_target(twice, clusters, {}).answer(vectors) == kind).all()


def test_diverse_hits_are_the_lower_of_equal_ones() -> None:
    vectors, kind = doubled(0)
    (found,) = ExactIndex(vectors).find(vectors[:1], N).similarities
    (ranked,) = ExactIndex(vectors).find(vectors[:1], N).rows
    marginal = MarginalRelevance(found, vectors[ranked], 0.2)
    free = np.ones(N, bool)
    taken = []
    for _ in range(N_DIFFERENT):
        place = marginal.take(free)
        assert place is not None
        free[place] = False
        taken.append(ranked[place])
    assert len({kind[row] for row in taken}) == N_DIFFERENT
    assert all(row == np.flatnonzero(kind == kind[row])[0] for row in taken)


def test_equal_rows_have_the_number_of_the_first() -> None:
    rows = np.array([[0.0, 1], [2, 3], [-0.0, 1], [2, 3], [4, 5]], np.float32)
    assert first_occurrence(rows).tolist() == [0, 1, 0, 1, 4]
    assert first_occurrence(rows[:0]).tolist() == []


def test_the_first_of_those_that_rounding_cannot_tell_is_the_greatest() -> None:
    scores = np.array(
        [[0.1 + 0.2, 0.3, 0.2], [0.3, 0.1 + 0.2, 0.2], [1e12, 1e12 + 1, 0], [0, 1, 2]]
    )
    assert first_of_greatest(scores).tolist() == [0, 0, 0, 2]
    assert (first_of_greatest(unit_rows(scores), 2.0) == 0).all()
