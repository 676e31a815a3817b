"""Rankings: planted good and bad backbones in their order, and doubt where there is doubt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from analyze.clustering.clustering import cluster
from analyze.comparison.ranking import ranked_pictures
from analyze.comparison.ranking.figure import ranking_chart
from analyze.comparison.ranking.ranking import rank
from analyze.measures.agreement import score_clusters
from analyze.measures.alignment import align_pictures
from analyze.presentation.palette import backbone_style
from analyze.reduction.reduction import reduce
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

Make = Callable[..., EmbeddingSet]
N = 240
LABELS = np.arange(N) % 4
HASHES = np.random.default_rng(9).integers(1, 256, (N, 32), dtype=np.uint8)


def called(embeddings: EmbeddingSet, model: str, **record: object) -> EmbeddingSet:
    identity = {"backbone": model, "weights": {"source": "pretrained"}}
    return replace(embeddings, provenance=Provenance(identity, (), record))


@pytest.fixture
def planted(embeddings_of: Make) -> dict[str, EmbeddingSet]:
    """Backbones that know the classes well, a little less so, as little, and not at all."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(N, 12))
    centers = np.eye(4, 12)[LABELS]

    def make(model: str, signal: float, noise: np.ndarray, **record: object) -> EmbeddingSet:
        vectors = embeddings_of(signal * centers + noise, LABELS, content_sha256=HASHES)
        return called(vectors, model, **record)

    return {
        "blind": make("blind", 0, noise),
        "good": make("good", 4, noise, images_per_second=12.5),
        "fair": make("fair", 2.2, noise),
        "alike": make("alike", 2.2, rng.normal(size=(N, 12)), images_per_second="fast"),
    }


@pytest.mark.parametrize("metric", ["knn_1", "knn_5", "knn_20", "linear_probe", "ari"])
def test_planted_backbones_come_in_their_order(
    planted: dict[str, EmbeddingSet], metric: str
) -> None:
    found = rank([planted[n] for n in ("blind", "good", "fair")], metric=metric, n_resamples=500)
    assert [m.name for m in found.models] == ["good", "fair", "blind"]
    assert [p.verdict.split(" by ")[0] for p in found.pairs] == [
        "good is better than fair",
        "fair is better than blind",
    ]
    rows = found.of_metric(metric)
    assert found.rows[:3] == rows
    for row in rows:
        assert row.low is not None
        assert row.high is not None
        assert row.low < row.value < row.high
    for pair, a, b in zip(found.pairs, rows, rows[1:], strict=False):
        assert pair.difference == pytest.approx(a.value - b.value)
        assert pair.low is not None
        assert 0 < pair.low < pair.difference
    if metric != "ari":
        assert rows[-1].value == pytest.approx(0.25, abs=0.1)


def test_backbones_as_good_as_each_other_are_seldom_told_apart(
    planted: dict[str, EmbeddingSet],
) -> None:
    distinguished = 0
    for seed in range(12):
        noise = np.random.default_rng(100 + seed).normal(size=(2, N, 12))
        vectors = (2.2 * np.eye(4, 12)[LABELS] + noise).astype(np.float32)
        pair = [
            replace(planted[n], vectors=v) for n, v in zip(("fair", "alike"), vectors, strict=True)
        ]
        (found,) = rank(pair, n_resamples=200).pairs
        a, b = found.a.name, found.b.name
        assert found.p_adjusted is not None
        if found.p_adjusted < 0.05:
            distinguished += 1
            assert found.verdict.startswith(f"{a} is better than {b} by ")
        else:
            assert found.verdict.startswith(
                f"{a} and {b} cannot be distinguished with 240 pictures: "
            )
    assert distinguished <= 2


def test_a_backbone_and_its_twin_are_equal_in_everything(
    planted: dict[str, EmbeddingSet],
) -> None:
    same = rank([planted["fair"], called(planted["fair"], "twin")], n_resamples=500)
    assert same.pairs[0].p_adjusted == 1
    assert (same.pairs[0].low, same.pairs[0].high) == (0, 0)
    (likeness,) = same.model_similarity
    assert likeness.cka == pytest.approx(1)
    assert likeness.cka_debiased == pytest.approx(1)
    assert likeness.neighbor_overlap == 1


def test_ari_is_the_mean_of_single_clusterings(planted: dict[str, EmbeddingSet]) -> None:
    fair = planted["fair"]
    found = rank([fair], metric="ari", seed=7, n_resamples=100)
    alone = []
    for seed in range(7, 12):
        assigned = cluster(reduce(fair, "l2", seed), 4, seed).assignments
        alone.append(score_clusters(LABELS, assigned)[0]["ari"])
    assert found.rows[0].value == pytest.approx(np.mean(alone))
    assert (found.pairs, found.model_similarity) == ((), ())


def test_copies_are_drawn_together_and_never_neighbors(
    planted: dict[str, EmbeddingSet],
) -> None:
    """A backbone that knows nothing but each picture would score by its copies."""
    hashes = HASHES.copy()
    hashes[1::2] = hashes[::2]
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(N // 2, 12)), 2, axis=0).astype(np.float32)
    doubled = replace(
        planted["blind"],
        vectors=vectors,
        content_sha256=hashes,
        levels=(replace(planted["blind"].levels[0], codes=LABELS // 2 * 2 % 4),),
    )
    found = rank([doubled], metric="knn_1", n_resamples=1000)
    row = found.rows[0]
    assert row.value < 0.65
    assert row.low is not None
    assert row.high is not None
    by_units = 2 * 1.96 * np.sqrt(row.value * (1 - row.value) / (N / 2))
    assert row.high - row.low == pytest.approx(by_units, rel=0.12)


def test_rows_say_what_a_backbone_costs(planted: dict[str, EmbeddingSet]) -> None:
    found = rank([planted["alike"], planted["good"]], n_resamples=100)
    good, alike = (row.to_json() for row in found.of_metric("knn_5"))
    assert (good["images_per_second"], good["bytes_per_row"], good["n_dims"]) == (12.5, 48, 12)
    assert alike["images_per_second"] is None
    said = found.to_json()
    json.dumps(said, allow_nan=False)
    assert {row["metric"] for row in said["rows"]} == {"knn_5", "knn_1", "knn_20"}
    keys = "a b a_identity b_identity metric difference low high p_adjusted verdict".split()
    keys += "a_resize a_pooling b_resize b_pooling".split()
    assert list(said["pairs"][0]) == keys
    assert rank([planted["good"]], seed=1, n_resamples=100).to_json() == (
        rank([planted["good"]], seed=1, n_resamples=100).to_json()
    )


def test_without_labels_a_surrogate_ranks_and_says_so(planted: dict[str, EmbeddingSet]) -> None:
    bare = [replace(planted[n], levels=()) for n in ("blind", "good", "fair")]
    found = rank(bare, metric="silhouette", n_resamples=200)
    assert [m.name for m in found.models] == ["good", "fair", "blind"]
    assert found.surrogate
    assert found.level is None
    assert found.n_clusters == (5, 10, 20)
    assert "a surrogate" in found.notes[0]
    assert found.pairs[0].verdict.startswith("good scores higher than fair by ")
    assert rank(bare, metric="silhouette", n_clusters=4, n_resamples=200).n_clusters == (4,)
    with pytest.raises(UsageError, match=r"no labels, so there is no knn_5.*silhouette"):
        rank(bare, metric="knn_5")


def test_pictures_can_be_aligned_without_labels(planted: dict[str, EmbeddingSet]) -> None:
    one, other = (replace(planted[n], levels=()) for n in ("good", "fair"))
    changed = HASHES.copy()
    changed[5] ^= 1
    other = replace(other, content_sha256=changed).take(np.arange(N)[::-1][:200])
    same = align_pictures([one, other])
    assert same.embedding_sets[0].ids == one.ids[40:]
    assert same.embedding_sets[1].vectors.tolist() == planted["fair"].vectors[40:].tolist()
    other = replace(planted["fair"], content_sha256=changed)
    assert align_pictures([one, other]).notes == (
        "1 picture left out: files hold other pictures under their ids",
    )


def test_pictures_that_cannot_be_asked_about_are_left_out_for_all(
    planted: dict[str, EmbeddingSet], embeddings_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = planted["fair"].vectors.copy()
    vectors[[4, 8]] = 0
    labels = [None if i < 3 else str(v) for i, v in enumerate(LABELS)]
    good = embeddings_of(planted["good"].vectors, labels)
    fair = called(embeddings_of(vectors, labels), "fair")
    found = rank([called(good, "good"), fair], n_resamples=100)
    assert len(found.ids) == N - 5
    assert "3 pictures without a label are left out" in found.notes
    assert "2 pictures left out: rows of zeros by fair" in found.notes
    alone = rank([called(good, "good").take(np.delete(np.arange(N), [4, 8]))], n_resamples=100)
    assert alone.rows[0].value == found.rows[0].value
    monkeypatch.setattr(ranked_pictures, "MOST_RANKED", 100)
    fewer = rank([planted["good"]], n_resamples=100)
    assert len(fewer.ids) == 100
    assert "ranked on 100 of 240 pictures, drawn by seed" in fewer.notes


def test_no_interval_of_classes_that_are_tiny(
    planted: dict[str, EmbeddingSet], embeddings_of: Make
) -> None:
    tiny = [
        called(embeddings_of(planted[n].vectors, np.arange(N) // 4), n) for n in ("good", "fair")
    ]
    found = rank(tiny)
    assert {(row.low, row.high) for row in found.rows} == {(None, None)}
    (pair,) = found.pairs
    assert (pair.low, pair.p_adjusted) == (None, None)
    assert "too few pictures to test it" in pair.verdict
    assert any("different pictures in the median class: 4," in note for note in found.notes)
    with pytest.raises(UsageError, match=r"fewer than two classes of 5.*--metric knn_5"):
        rank(tiny, metric="linear_probe")


def test_too_few_resamples_are_said(planted: dict[str, EmbeddingSet]) -> None:
    found = rank([*planted.values()], n_resamples=100)
    assert any("give --resamples 300" in note for note in found.notes)


@pytest.mark.parametrize(
    ("labels", "arguments", "said"),
    [
        (LABELS, {"metric": "knn_3"}, "no metric 'knn_3': choose one of knn_1"),
        (LABELS, {"level": "7"}, "no level '7'"),
        (np.zeros(N, int), {}, "one class in level 'class'.*--metric"),
        (np.arange(N), {}, "every picture a class of its own.*--level"),
        (LABELS, {"metric": "ari", "n_clusters": 999}, "999 clusters of 240"),
    ],
)
def test_what_cannot_be_ranked_is_one_line_with_a_way_out(
    labels: np.ndarray,
    arguments: dict[str, Any],
    said: str,
    planted: dict[str, EmbeddingSet],
    embeddings_of: Make,
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        rank([embeddings_of(planted["good"].vectors, labels)], **arguments)
    assert "\n" not in str(refused.value)


def test_nothing_and_copies_of_one_cannot_be_ranked(planted: dict[str, EmbeddingSet]) -> None:
    with pytest.raises(UsageError, match="nothing to compare"):
        rank([])
    copies = replace(planted["good"], content_sha256=np.full((N, 32), 7, np.uint8))
    with pytest.raises(UsageError, match="fewer than three of them different"):
        rank([copies])


def test_dots_and_intervals_are_the_rows(planted: dict[str, EmbeddingSet]) -> None:
    found = rank([planted[n] for n in ("blind", "good", "fair")], n_resamples=200)
    rows = found.of_metric("knn_5")
    (axes,) = ranking_chart(rows, score="5-NN", title="$t", subtitle="s").figure().axes
    dots = np.array([c.get_offsets()[0] for c in axes.collections])
    assert dots[:, 0].tolist() == [row.value for row in rows]
    assert [tuple(line.get_xdata()) for line in axes.lines] == [(r.low, r.high) for r in rows]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["good", "fair", "blind"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the best on top
    colors = [to_hex(line.get_color()).upper() for line in axes.lines]
    assert colors == [backbone_style(i)[0] for i in (1, 2, 0)]
