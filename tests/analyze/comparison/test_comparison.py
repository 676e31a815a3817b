"""Comparisons: the numbers of single analyses, on the same pictures, however they are done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from analyze.clustering import runs as clustering_runs
from analyze.clustering.analysis import analyze_embeddings
from analyze.clustering.runs import Execution
from analyze.comparison import uncertainty
from analyze.comparison.comparison import compare as compare_all
from analyze.comparison.figure import comparison_chart
from analyze.comparison.scores import Setting
from analyze.measures.alignment import align, align_labels, distinct_names
from analyze.measures.contingency_metrics import METRICS
from analyze.presentation.palette import BACKBONE_COLORS, MUTED, backbone_style
from extract.catalog.catalog import Level
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

pytestmark = pytest.mark.slow

Planted = tuple[np.ndarray, np.ndarray]
compare = partial(compare_all, n_resamples=200)
Make = Callable[..., EmbeddingSet]
ALONE = Execution(n_jobs=1)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubts are looked at in test_sampling."""
    monkeypatch.setattr(uncertainty, "N_RESAMPLES_OF_PAIRS", 200)


@pytest.fixture
def three(overlapping: Planted, embeddings_of: Make) -> list[EmbeddingSet]:
    """Three backbones of the same pictures, each with less of what tells the classes apart."""
    vectors, labels = overlapping
    return [
        called(embeddings_of(vectors[:, :n_dims], labels), f"net{n_dims}") for n_dims in (64, 16, 4)
    ]


@pytest.fixture
def short(three: list[EmbeddingSet]) -> list[EmbeddingSet]:
    """The first 60 pictures of each."""
    return [each.take(np.arange(60)) for each in three]


def called(embeddings: EmbeddingSet, model: str, weights: str = "pretrained") -> EmbeddingSet:
    identity = {"backbone": model, "weights": {"source": weights}}
    return replace(embeddings, provenance=Provenance(identity, ()))


def scores_of(comparison: Any) -> list[Any]:
    return [(r.to_json(), r.model.name) for r in comparison.rows]


def test_rows_are_what_single_analyses_say(short: list[EmbeddingSet]) -> None:
    found = compare(
        short, reductions=["none", "pca:0.9", "pca:3,tsne:5:random"], seeds=(0, 4), execution=ALONE
    )
    rows = iter(found.rows)
    for embeddings in short:
        for reduction in found.reductions:
            for seed in (0, 4):
                row = next(rows)
                alone = analyze_embeddings(embeddings, reduction=reduction, seed=seed)
                expected = {name: alone.scores[name] for name in METRICS}
                assert row.scores == expected
                assert row.to_json() == {
                    "model": embeddings.provenance.model,
                    "identity": embeddings.provenance.short_identity,
                    "weights": "pretrained",
                    "reduction": reduction,
                    "clustering": "kmeans",
                    "n_clusters": 5,
                    "reduction_seed": seed,
                    "clustering_seed": seed,
                    "level": "class",
                    **expected,
                    "n_noise": 0,
                    "resize": "unknown",
                    "pooling": "unknown",
                }
                assert row.model.one_nn_accuracy == alone.one_nn_accuracy
    assert next(rows, None) is None


def test_cells_are_moments_of_their_rows(three: list[EmbeddingSet]) -> None:
    found = compare(three[:2], reductions=["none", "l2"], seeds=range(7))
    assert len(found.cells) == 2 * 2 * len(METRICS)
    for cell in found.cells:
        own = (cell.model, cell.reduction)
        scores = np.array(
            [r.scores[cell.metric] for r in found.rows if (r.model, r.reduction) == own]
        )
        assert len(scores) == cell.n_seeds == 7
        assert cell.mean == pytest.approx(scores.sum() / 7)
        assert cell.std == pytest.approx(np.sqrt(((scores - scores.mean()) ** 2).sum() / 6))
        low, high = np.quantile(scores, [0.025, 0.975])
        assert (cell.seed_low, cell.seed_high) == (pytest.approx(low), pytest.approx(high))
    by_seed = found.over_seeds("ari")
    assert by_seed.shape == (2, 2, 7)
    assert by_seed[1, 0, 2] == found.rows[2 * 7 + 2].scores["ari"]


def test_one_seed_has_no_deviation(three: list[EmbeddingSet]) -> None:
    found = compare(three[:1], reductions=["none"], seeds=[3])
    assert [cell.std for cell in found.cells] == [None] * len(METRICS)
    json.dumps(found.to_json(), allow_nan=False)


def test_a_comparison_is_printed_and_tabulated_in_python(short: list[EmbeddingSet]) -> None:
    found = compare(short, reductions=["none", "l2"], seeds=range(2), execution=ALONE)
    tables = {name: [*table] for name, table in found.tables().items()}
    assert [
        dict(zip(tables["comparison"][0], row, strict=True)) for row in tables["comparison"][1:]
    ] == [row.to_json() for row in found.rows]
    assert len(tables["pairs"]) == 1 + len(found.pairs) + len(found.reduction_pairs)
    lines = found.text().splitlines()
    best = found.cell(Setting(found.models[0], "none", "kmeans"), "ari")
    (row,) = [line for line in lines if line.startswith("net64 ")]
    assert f"{best.mean:.3f} ± {best.std:.3f}" in row
    assert replace(found, notes=("odd",)).text().splitlines() == [*lines, "note: odd"]
    assert [*found.figures()] == ["ari"]


def test_processes_do_not_change_the_numbers(
    short: list[EmbeddingSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering_runs, "PROCESSES_PAY_SECONDS", 0)
    told: list[tuple[int, int]] = []
    arguments: dict[str, Any] = {
        "reductions": ["none", "pca:0.9", "pca:3,tsne:5"],
        "seeds": range(2),
    }
    here = compare(short, execution=ALONE, **arguments)
    others = compare(
        short,
        execution=Execution(
            tmp_path / "reductions",
            tmp_path / "clusterings",
            n_jobs=2,
            progress=lambda *now: told.append(now),
        ),
        **arguments,
    )
    assert others.to_json() == here.to_json()
    assert told == [(i, 18) for i in range(1, 19)]
    assert len(list((tmp_path / "clusterings").glob("*.npy"))) == 18
    assert len(list((tmp_path / "reductions").glob("*.npy"))) == 3 + 3 * 2


def test_an_error_in_another_process_is_its_own_line(
    three: list[EmbeddingSet], embeddings_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering_runs, "PROCESSES_PAY_SECONDS", 0)
    flat = replace(three[0], vectors=np.ones((200, 3), dtype=np.float32))
    with pytest.raises(UsageError, match="all 200 rows are equal"):
        compare(
            [flat, three[1]],
            reductions=["pca:0.9"],
            seeds=range(2),
            execution=Execution(n_jobs=2),
        )


def test_the_second_time_reads_and_says_the_same(
    three: list[EmbeddingSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Execution(tmp_path / "r", tmp_path / "c")
    arguments: dict[str, Any] = {"reductions": ["none", "pca:99"], "seeds": range(3)}
    first = compare(three, execution=kept, **arguments)
    assert [note for note in first.notes if note.startswith("net16: pca: 99 components lowered")]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(clustering_runs, "cluster", never)
    monkeypatch.setattr(clustering_runs, "reduce", never)
    told: list[tuple[int, int]] = []
    observed = replace(kept, progress=lambda *now: told.append(now))
    again = compare(three, execution=observed, **arguments)
    assert again.to_json() == first.to_json()
    assert told == []


def test_what_no_seed_changes_is_reduced_once(
    three: list[EmbeddingSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def counted(vectors: Any, reduction: str, seed: int) -> Any:
        done.append(reduction)
        return reduce(vectors, reduction, seed)

    reduce = clustering_runs.reduce
    monkeypatch.setattr(clustering_runs, "reduce", counted)
    compare(three[:2], reductions=["l2,pca:0.9", "pca:2"], seeds=range(3), execution=ALONE)
    assert sorted(done) == ["l2,pca:0.9"] * 2 + ["pca:2"] * 6


# which pictures, which labels


def test_only_pictures_in_all_files_count_in_any_order(
    three: list[EmbeddingSet], overlapping: Planted
) -> None:
    shuffled = np.random.default_rng(0).permutation(200)[:150]
    parts = [three[0].take(shuffled), three[1].take(np.arange(20, 200))]
    found = compare(parts, reductions=["none"], seeds=[1])
    kept = np.sort(shuffled[shuffled >= 20])
    assert found.ids == tuple(three[0].ids[i] for i in kept)
    note, of_seed = found.notes
    assert of_seed.startswith("one seed")
    assert note == (
        f"compared on the {len(kept)} pictures that all files hold: net64 150, net16 180"
    )
    for row, whole in zip(found.rows, three, strict=False):
        alone = analyze_embeddings(whole.take(kept), seed=1)
        assert row.scores["ari"] == alone.scores["ari"]


def test_other_pictures_under_the_same_id_are_left_out(three: list[EmbeddingSet]) -> None:
    hashes = np.random.default_rng(0).integers(1, 256, (200, 32), dtype=np.uint8)
    changed = hashes.copy()
    changed[[3, 50]] ^= 1
    changed[7] = 0  # not known
    sets = [
        replace(three[0], content_sha256=hashes),
        three[1],
        replace(three[2], content_sha256=changed),
    ]
    aligned = align(sets)
    assert len(aligned.embedding_sets[0]) == 198
    assert not {three[0].ids[3], three[0].ids[50]} & set(aligned.embedding_sets[0].ids)
    assert aligned.notes == ("2 pictures left out: files hold other pictures under their ids",)


def labelled(
    embeddings: EmbeddingSet, values: Sequence[str | None], name: str = "class"
) -> EmbeddingSet:
    return replace(embeddings, levels=(Level.from_values(name, values),))


def test_labels_belong_to_pictures(three: list[EmbeddingSet]) -> None:
    values = [str(v) for v in np.arange(200) % 4]
    other: list[str | None] = list(values)
    other[1], other[5], other[6] = None, "another", None
    missing: list[str | None] = [None, None, *values[2:]]
    sets = [
        labelled(three[0], missing),
        labelled(three[1], other),
        labelled(three[2], values, "kind"),
    ]
    aligned = align(sets, "class")
    kept = [i for i in range(200) if i != 5]
    expected = [values[0], None, *values[2:]]
    assert aligned.level.values() == tuple(expected[i] for i in kept)
    assert aligned.notes == (
        "1 picture left out: files disagree on their labels",
        "no level 'class' in net4: the others' labels are used",
    )
    assert align(sets, "kind").level.name == align(sets[::-1]).level.name == "kind"


def test_sets_of_labels_and_levels_belong_to_pictures_too(three: list[EmbeddingSet]) -> None:
    rows = [("blue", "tall") if i % 2 else ("blue",) for i in range(200)]
    other, missing = list(rows), list(rows)
    other[5], missing[1] = ("tall",), ()
    listed = [
        replace(three[0], multi_labels=(MultiLabel.from_values("is", missing),)),
        replace(three[1], multi_labels=(MultiLabel.from_values("is", other, ";"),)),
        labelled(three[2], ["b"] * 200, "is"),  # a level of that name is another column
    ]
    aligned = align_labels(listed, listed[1].multi_labels)
    assert aligned.multi_labels[0].values() == tuple(r for i, r in enumerate(rows) if i != 5)
    assert aligned.multi_labels[0].separator == "|"
    assert aligned.labelled.all()
    assert aligned.notes == (
        "1 picture left out: files disagree on their labels",
        "no column 'is' in net4: the others' labels are used",
    )
    whole = MultiLabel.from_values("is", [("blue|tall",), *[()] * 199], ";")
    parted = MultiLabel.from_values("is", [(), *[("a;b",)] * 199])
    apart = [replace(s, multi_labels=(c,)) for s, c in zip(listed, (whole, parted), strict=False)]
    with pytest.raises(UsageError, match="one --multi-label-separator for all"):
        align_labels(apart, (whole,))


def test_as_many_clusters_as_classes_among_the_rows_compared(
    three: list[EmbeddingSet], overlapping: Planted
) -> None:
    _, labels = overlapping
    rows = np.flatnonzero(labels != 2)
    found = compare([three[0], three[1].take(rows)], reductions=["none"], seeds=[0])
    assert found.n_clusters == 4
    fixed = compare(three[:1], reductions=["none"], seeds=[0], n_clusters=9)
    assert {row.n_clusters for row in fixed.rows} == {fixed.n_clusters} == {9}


def test_scores_that_say_nothing_are_none(three: list[EmbeddingSet]) -> None:
    found = compare(
        [labelled(three[0], ["one"] * 200)], reductions=["none"], seeds=range(2), n_clusters=3
    )
    assert all(row.scores == dict.fromkeys(METRICS) for row in found.rows)
    assert {(cell.mean, cell.std, cell.low, cell.high) for cell in found.cells} == {
        (None, None, None, None)
    }
    assert found.pairs == found.reduction_pairs == ()
    assert found.models[0].one_nn_accuracy is None
    assert "one class: scores against it are not informative" in found.notes
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda sets: [], "nothing to compare"),
        (lambda sets: [replace(s, levels=()) for s in sets], "--label-column"),
        (
            lambda sets: [
                sets[0],
                replace(sets[1], ids=tuple(f"b{i}" for i in range(200))),
            ],
            "no picture is in all of them .net64 200, net16 200.*--catalog",
        ),
        (lambda sets: [sets[0], sets[1].take(np.array([4]))], "1 picture left to compare"),
        (lambda sets: [labelled(s, [None] * 200) for s in sets], "no picture has a label"),
    ],
)
def test_what_cannot_be_compared_is_one_line_with_a_way_out(
    change: Callable[[list[EmbeddingSet]], list[EmbeddingSet]],
    said: str,
    three: list[EmbeddingSet],
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        compare(change(three), reductions=["none"], seeds=[0])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_clusters": 0}, "0 clusters of 200"),
        ({"n_clusters": 201}, "201 clusters of 200"),
        ({"level": "9"}, "no level '9'.*1 class"),
        ({"reductions": ["none", "pca"]}, "cannot read 'pca'"),
        ({"seeds": ()}, "--seeds"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_computed(
    arguments: dict[str, Any],
    said: str,
    three: list[EmbeddingSet],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clustering_runs, "reduce", lambda *_: pytest.fail("computed"))
    with pytest.raises(UsageError, match=said):
        compare(three, **arguments)


def test_models_are_told_apart(three: list[EmbeddingSet]) -> None:
    plain, again = called(three[0], "vgg16"), called(three[1], "vgg16", "file")
    random, alone = called(three[2], "vgg16", "random"), called(three[2], "lite0")
    assert distinct_names([plain, random, alone]) == ("vgg16", "vgg16 (random weights)", "lite0")
    assert distinct_names([plain, again]) == ("vgg16 pretrained", "vgg16 file")
    assert distinct_names([plain, plain]) == ("vgg16, 1", "vgg16, 2")

    def made(resize: str, pooling: str, model: str = "vgg16") -> EmbeddingSet:
        weights = "random" if model == "drawn" else "pretrained"
        identity = {"weights": {"source": weights}, "backbone": model, "pooling": pooling}
        identity["geometry"] = {"resize": resize}
        return replace(three[0], provenance=Provenance(identity, ()))

    crop, pad, cls = made("crop", "fc2"), made("pad", "fc2"), made("pad", "cls")
    assert distinct_names([crop, pad]) == ("vgg16 crop", "vgg16 pad")
    assert distinct_names([crop, pad, cls]) == ("vgg16 crop", "vgg16 pad fc2", "vgg16 pad cls")
    assert distinct_names([pad, pad, cls]) == ("vgg16 pad, 1", "vgg16 pad, 2", "vgg16 pad cls")
    assert distinct_names([pad, made("pad", "fc2", "lite0")]) == ("vgg16", "lite0")
    drawn = made("crop", "mean", "drawn")  # of another backbone, but seen otherwise too
    assert distinct_names([pad, drawn]) == ("vgg16 pad", "drawn crop (random weights)")
    found = compare([plain, random], reductions=["none"], seeds=[0])
    assert found.notes[0] == "vgg16 (random weights): nothing in these weights was learned"


# the figure


def drawn(
    scores: np.ndarray,
    names: Sequence[str],
    reductions: Sequence[str],
    intervals: np.ndarray | None = None,
) -> Any:
    chart = comparison_chart(
        scores, names, reductions, intervals, score="ARI", title="$title", subtitle="subtitle"
    )
    return chart.figure()


def test_bars_dots_and_whiskers_are_the_scores() -> None:
    scores = np.random.default_rng(0).uniform(0.2, 0.6, size=(3, 2, 9))
    names = ["_hidden $x$", "lite0", "vgg16 (random weights)"]
    means = scores.mean(axis=2, keepdims=True)
    intervals = means + np.array([-0.3, 0.45])
    figure = drawn(scores, names, ["none", "pca:0.99,tsne"], intervals)
    (axes,) = figure.axes
    bars = [c for c in axes.containers if hasattr(c, "patches") and c.patches]
    heights = np.array([[bar.get_height() for bar in group] for group in bars])
    np.testing.assert_allclose(heights, scores.mean(axis=2))
    dots = [c for c in axes.collections if hasattr(c, "get_offsets") and len(c.get_offsets()) == 18]
    for dotted, group, expected in zip(dots, bars, scores, strict=True):
        points = np.asarray(dotted.get_offsets()).reshape(2, 9, 2)
        np.testing.assert_allclose(points[:, :, 1], expected)
        for bar, beside in zip(group, points[:, :, 0], strict=True):
            assert bar.get_x() < beside.min() < beside.max() < bar.get_x() + bar.get_width()
    whiskers = np.array(
        [c.lines[2][0].get_segments() for c in axes.containers if hasattr(c, "lines")]
    )
    np.testing.assert_allclose(whiskers[:, :, :, 1], intervals)
    assert axes.get_ylim()[0] < intervals.min()
    assert axes.get_ylim()[1] > intervals.max()
    assert [t.get_text() for t in axes.get_xticklabels()] == ["none", "pca:0.99,tsne"]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [r"_hidden \$x\$", *names[1:]]
    colors = [to_hex(group[0].get_facecolor()).upper() for group in bars]
    assert colors == list(BACKBONE_COLORS[:3])


def test_one_seed_is_bars_alone_and_negative_scores_are_seen() -> None:
    (axes,) = drawn(np.array([[[-0.05]], [[0.3]]]), ["a", "b"], ["none"]).axes
    assert axes.get_ylim()[0] < -0.05
    assert not [c for c in axes.collections if len(c.get_offsets())]


def test_backbones_look_different_from_each_other_and_from_classes() -> None:
    assert len({backbone_style(i) for i in range(32)}) == 32
    assert not set(BACKBONE_COLORS) & set(MUTED)


def test_long_names_stay_inside_the_picture(tmp_path: Path) -> None:
    names = ["hf:" + "x" * 90 + str(i) for i in range(8)]
    reductions = ["l2,pca:0.99,tsne:30:random", "pca:50,umap:15", "none"]
    figure = drawn(np.full((8, 3, 2), 0.4), names, reductions)
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    texts = [t for legend in figure.legends for t in legend.get_texts()]
    for text in [*texts, *figure.axes[0].get_xticklabels()]:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    assert len({t.get_text() for t in texts}) == 8
