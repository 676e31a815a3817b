"""Reductions: how they are typed, and that they are what they are called."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from analyze.reduction import steps as reduction_steps
from analyze.reduction.reduction import REDUCTIONS, Reduced, Step, parse_steps, reduce, uses_chance
from extract.errors import UsageError

Planted = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def quick_umap(request: pytest.FixtureRequest) -> None:
    """Compile little of UMAP in the tests that name it."""
    if "umap" in request.node.name:
        request.getfixturevalue("umap_uncompiled")


def reduced(vectors: np.ndarray, reduction: str, seed: int = 0) -> Reduced:
    return reduce(vectors, reduction, seed)


def tsne_step(perplexity: float = 30.0, initialization: str = "pca") -> Step:
    return Step("tsne", {"perplexity": perplexity, "initialization": initialization})


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("none", ()),
        (" none ", ()),
        ("l2", (Step("l2"),)),
        ("pca:50", (Step("pca", {"n_components": 50}),)),
        ("pca:0.99", (Step("pca", {"n_components": 0.99}),)),
        ("pca:1", (Step("pca", {"n_components": 1}),)),
        ("tsne", (tsne_step(),)),
        ("tsne:12.5", (tsne_step(12.5),)),
        ("tsne:30:random", (tsne_step(30.0, "random"),)),
        ("tsne:5:pca", (tsne_step(5.0, "pca"),)),
        ("umap", (Step("umap", {"n_neighbors": 15}),)),
        ("umap:5", (Step("umap", {"n_neighbors": 5}),)),
        ("l2, pca:50 ,tsne", (Step("l2"), Step("pca", {"n_components": 50}), tsne_step())),
    ],
)
def test_steps_are_read_as_typed(text: str, steps: tuple[Step, ...]) -> None:
    assert parse_steps(text) == steps


def test_components_are_counted_in_whole_numbers() -> None:
    (step,) = parse_steps("pca:50")
    assert isinstance(step.parameters["n_components"], int)


@pytest.mark.parametrize(
    "text",
    [
        *("pca", "pca:", "pca:0", "pca:-3", "pca:1.5", "pca:many", "pca:nan", "pca:50:60"),
        *("l2:3", "tsne:x", "tsne:", "tsne:0.5", "tsne:-5", "tsne:nan", "tsne:inf"),
        *("tsne:30:spectral", "tsne:30:pca:5", "pca:inf", "pca:1e999"),
        *("umap:", "umap:1", "umap:2.5", "umap:-3", "umap:many", "umap:15:2", "umap:²"),
    ],
)
def test_a_step_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=f"cannot read '{text}': .+"):
        parse_steps(f"l2,{text}")


@pytest.mark.parametrize("text", ["umax", "", "l2,,tsne", "PCA:50"])
def test_an_unknown_reduction_names_the_choices(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_steps(text)
    assert all(choice in str(refused.value) for choice in ("none", *REDUCTIONS))


def test_none_stands_alone() -> None:
    with pytest.raises(UsageError, match="none stands alone"):
        parse_steps("none,l2")


def test_a_share_of_one_is_not_taken_for_one_component() -> None:
    with pytest.raises(UsageError, match=r"1\.0 could be a share or a number"):
        parse_steps("pca:1.0")
    assert parse_steps("pca:1")[0].parameters == {"n_components": 1}


def test_none_gives_the_vectors_unchanged(overlapping: Planted) -> None:
    vectors, _ = overlapping
    result = reduced(vectors, "none")
    np.testing.assert_array_equal(result.coordinates, vectors, strict=True)
    assert result.parameters == ()
    assert result.notes == ()


@pytest.mark.parametrize("reduction", ["none", "l2", "pca:3", "pca:0.9", "l2,pca:3,tsne:5"])
def test_the_vectors_are_never_modified(reduction: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    before = vectors.copy()
    reduced(vectors, reduction)
    np.testing.assert_array_equal(vectors, before, strict=True)


@pytest.mark.parametrize("reduction", ["none", "l2", "pca:3", "tsne:5"])
def test_coordinates_are_float32_and_row_by_row(reduction: str) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    result = reduced(vectors, reduction, seed=3)
    assert result.coordinates.dtype == np.float32
    assert len(result.coordinates) == len(result.ids) == 40
    assert (result.reduction, result.seed) == (reduction, 3)


def test_l2_gives_unit_rows_in_the_same_direction(overlapping: Planted) -> None:
    vectors, _ = overlapping
    result = reduced(vectors, "l2")
    np.testing.assert_allclose(np.linalg.norm(result.coordinates, axis=1), 1, rtol=1e-6)
    by_hand = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(result.coordinates, by_hand, rtol=1e-5)
    assert result.notes == ()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_l2_forgets_any_length(scale: float) -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    far = reduced(vectors * np.float32(scale), "l2").coordinates
    np.testing.assert_allclose(far, reduced(vectors, "l2").coordinates, rtol=1e-5)


def test_l2_keeps_rows_of_zeros_and_says_so() -> None:
    vectors = np.array([[3, 4], [0, 0], [0, 0]], dtype=np.float32)
    result = reduced(vectors, "l2")
    np.testing.assert_allclose(result.coordinates, [[0.6, 0.8], [0, 0], [0, 0]], rtol=1e-7)
    assert [note for note in result.notes if "2 rows of zeros" in note]


@pytest.mark.numbers
@pytest.mark.parametrize("wanted", [2, 50, 0.5, 0.99])
def test_pca_equals_scikit_learn(
    overlapping: Planted, components: Callable[..., np.ndarray], wanted: float
) -> None:
    vectors, _ = overlapping
    result = reduced(vectors, f"pca:{wanted}", seed=5)
    expected = components(vectors, wanted, 5)
    np.testing.assert_array_equal(result.coordinates, expected, strict=True)
    fitted = PCA(wanted, random_state=5).fit(vectors)
    (used,) = result.parameters
    assert used["n_components"] == fitted.n_components_
    assert used["explained_variance"] == pytest.approx(
        fitted.explained_variance_ratio_.sum(), abs=1e-5
    )


def test_pca_of_many_rows_is_exact_where_scikit_learn_draws() -> None:
    rng = np.random.default_rng(0)
    shares = 1.0 / np.arange(1, 1102)
    vectors = (rng.normal(size=(2202, 1101)) * shares).astype(np.float32)
    tuple(map(str, range(len(vectors))))
    found = reduce(vectors, "pca:8", 0)
    centered = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    variances = np.sort(np.linalg.eigvalsh(centered.T @ centered / len(vectors)))[::-1]
    np.testing.assert_allclose(
        found.coordinates.var(axis=0, dtype=np.float64), variances[:8], rtol=1e-4
    )
    share = found.parameters[0]["explained_variance"]
    assert share == pytest.approx(variances[:8].sum() / variances.sum(), abs=1e-5)


@pytest.mark.parametrize("offset", [300, 3000])
@pytest.mark.parametrize("shape", [(4000, 40), (600, 300)])
def test_pca_in_float32_is_that_of_float64_whatever_all_rows_have_in_common(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], offset: float
) -> None:
    """As of more rows than are taken to float64; vectors from elsewhere may lie far from zero."""
    monkeypatch.setattr(reduction_steps, "DOUBLES_BYTES", 0)
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=shape) / np.arange(1, shape[1] + 1) + offset).astype(np.float32)
    exact = PCA(2).fit(vectors.astype(np.float64))
    result = reduced(vectors, "pca:2")
    expected = exact.transform(vectors)
    for axis in range(2):
        together = np.corrcoef(result.coordinates[:, axis], expected[:, axis])[0, 1]
        assert abs(together) >= 0.999
    share = result.parameters[0]["explained_variance"]
    assert share == pytest.approx(exact.explained_variance_ratio_.sum(), abs=1e-3)
    assert result.place is not None
    atol = 1e-3 * float(np.abs(expected).max())
    np.testing.assert_allclose(result.place(vectors[:9]), result.coordinates[:9], atol=atol)


def test_pca_keeps_distances_when_all_components_stay(overlapping: Planted) -> None:
    vectors, _ = overlapping
    coordinates = reduced(vectors, "pca:64").coordinates
    between = np.linalg.norm(vectors[:20, None] - vectors[None, :20], axis=2)
    after = np.linalg.norm(coordinates[:20, None] - coordinates[None, :20], axis=2)
    np.testing.assert_allclose(after, between, atol=1e-4)


def test_pca_of_permuted_rows_is_the_permuted_pca(overlapping: Planted) -> None:
    vectors, _ = overlapping
    order = np.random.default_rng(0).permutation(len(vectors))
    permuted = reduced(vectors[order], "pca:3").coordinates
    np.testing.assert_allclose(permuted, reduced(vectors, "pca:3").coordinates[order], atol=1e-3)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_more_components_than_possible_are_lowered_and_said(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    result = reduced(vectors, "pca:50")
    assert result.coordinates.shape[1] == result.parameters[0]["n_components"] == 6
    assert [note for note in result.notes if "50 components lowered to 6" in note]


@pytest.mark.parametrize("scale", [1e-25, 1e20, 1e37])
def test_pca_does_not_depend_on_the_scale(scale: float) -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    expected = reduced(vectors, "pca:0.9")
    result = reduced(vectors * np.float32(scale), "pca:0.9")
    assert result.parameters[0] == pytest.approx(expected.parameters[0], abs=1e-5)
    relative = result.coordinates / np.float32(scale)
    np.testing.assert_allclose(relative, expected.coordinates, atol=1e-4)


def test_steps_compose_left_to_right(
    overlapping: Planted, components: Callable[..., np.ndarray]
) -> None:
    vectors, _ = overlapping
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    expected = components((vectors / norms).astype(np.float32), 5)
    result = reduced(vectors, "l2,pca:5")
    np.testing.assert_array_equal(result.coordinates, expected, strict=True)
    assert [used["method"] for used in result.parameters] == ["l2", "pca"]
    other_way = reduced(vectors, "pca:5,l2").coordinates
    np.testing.assert_allclose(np.linalg.norm(other_way, axis=1), 1, rtol=1e-6)
    assert not np.allclose(other_way, expected)


def test_components_beyond_float32_are_refused_with_the_way_out() -> None:
    vectors = np.random.default_rng(0).uniform(-3e38, 3e38, (12, 40)).astype(np.float32)
    tuple(f"{i:02}" for i in range(len(vectors)))
    with pytest.raises(UsageError, match=r"beyond what float32 holds: .*--reduce l2,pca"):
        reduce(vectors, "pca:2")
    assert np.isfinite(reduce(vectors, "l2,pca:2").coordinates).all()


@pytest.mark.parametrize("reduction", ["tsne", "tsne:30:random"])
def test_tsne_keeps_planted_classes_together(separated: Planted, reduction: str) -> None:
    vectors, labels = separated
    coordinates = reduced(vectors, reduction).coordinates
    assert coordinates.shape == (len(vectors), 2)
    nearest = KNeighborsClassifier(5).fit(coordinates[::2], labels[::2])
    assert nearest.score(coordinates[1::2], labels[1::2]) > 0.95


@pytest.mark.parametrize("reduction", ["tsne:10", "tsne:10:random", "pca:0.9"])
def test_the_same_seed_gives_the_same_bits(separated: Planted, reduction: str) -> None:
    vectors, _ = separated
    first, second = (reduced(vectors, reduction, seed=7) for _ in range(2))
    assert first.coordinates.tobytes() == second.coordinates.tobytes()
    assert first.parameters == second.parameters


def test_another_seed_gives_another_random_map(separated: Planted) -> None:
    vectors, _ = separated
    first, second = (reduced(vectors, "tsne:10:random", seed).coordinates for seed in (0, 1))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("n_rows", [4, 5, 20])
def test_a_perplexity_too_high_is_lowered_and_said(
    n_rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = np.random.default_rng(0).normal(size=(n_rows, 8)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        result = reduced(vectors, "tsne")
    (used,) = result.parameters
    assert used["perplexity"] < n_rows
    assert [note for note in result.notes if "perplexity 30 lowered" in note]
    assert caplog.messages == [], "the library lowers it once more, so what is reported is wrong"


@pytest.mark.parametrize("n_rows", [2, 3])
def test_tsne_of_too_few_rows_is_left_out_and_said(n_rows: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(n_rows, 8)).astype(np.float32)
    result = reduced(vectors, "tsne")
    assert (result.coordinates == vectors).all()
    assert result.notes == (f"tsne: {n_rows} rows are too few, it is left out",)


def test_tsne_of_one_column_is_drawn_and_said() -> None:
    line = np.arange(30, dtype=np.float32)[:, None] ** 2
    result = reduced(line, "tsne:5")
    assert result.coordinates.shape == (30, 2)
    assert result.notes


@pytest.mark.parametrize("scale", [1e-25, 1e20])
def test_tsne_does_not_depend_on_the_scale(separated: Planted, scale: float) -> None:
    vectors, labels = separated
    coordinates = reduced(vectors * np.float32(scale), "tsne").coordinates
    nearest = KNeighborsClassifier(5).fit(coordinates[::2], labels[::2])
    assert nearest.score(coordinates[1::2], labels[1::2]) > 0.95


@pytest.mark.parametrize("reduction", ["pca:2", "pca:0.9", "tsne", "l2,tsne", "umap"])
@pytest.mark.parametrize("value", [0.0, 2.0])
def test_equal_rows_are_refused_not_a_crash(reduction: str, value: float) -> None:
    with pytest.raises(UsageError, match="all 50 rows are equal"):
        reduced(np.full((50, 8), value, dtype=np.float32), reduction)


def test_zeros_of_both_signs_are_equal_rows() -> None:
    vectors = np.zeros((10, 4), dtype=np.float32)
    vectors[::2] *= -1
    with pytest.raises(UsageError, match="are equal"):
        reduced(vectors, "pca:2")


@pytest.mark.parametrize(
    ("reduction", "chance"),
    [
        ("none", False),
        ("l2", False),
        ("pca:0.99", False),
        ("l2,pca:0.5", False),
        ("pca:50", True),
        ("tsne", True),
        ("pca:0.99,tsne:30:random", True),
        ("umap", True),
    ],
)
def test_steps_say_whether_chance_plays(reduction: str, chance: bool) -> None:
    assert uses_chance(parse_steps(reduction)) is chance


@pytest.mark.parametrize("shape", [(600, 300), (400, 800), (2000, 30)])
def test_a_share_of_variance_does_not_depend_on_the_seed(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    first, second = (reduced(vectors, "l2,pca:0.8", seed).coordinates for seed in (0, 1))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("reduction", ["none", "l2", "pca:3", "pca:0.9", "l2,pca:4"])
@pytest.mark.parametrize("scale", [1, 1e20, 1e-25])
def test_rows_are_placed_where_they_are(overlapping: Planted, reduction: str, scale: float) -> None:
    vectors = overlapping[0] * np.float32(scale)
    result = reduced(vectors, reduction)
    assert result.place is not None
    placed = result.place(vectors[5:9])
    assert placed.dtype == np.float32
    atol = 1e-4 * float(np.abs(result.coordinates).max())
    np.testing.assert_allclose(placed, result.coordinates[5:9], atol=atol)


def test_a_step_left_out_places_nothing_anew() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    for reduction in ("tsne", "umap"):
        place = reduced(vectors, reduction).place
        assert place is not None
        np.testing.assert_array_equal(place(vectors + 1), vectors + 1)


@pytest.mark.parametrize("shape", [(2, 7), (8,), (0, 8)])
def test_what_cannot_be_placed_is_refused(shape: tuple[int, ...]) -> None:
    place = reduced(np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32), "l2").place
    assert place is not None
    with pytest.raises(ValueError, match="to place"):
        place(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("reduction", ["tsne:10", "l2,pca:5,tsne:10", "umap:8"])
def test_a_row_held_out_is_placed_among_its_class(separated: Planted, reduction: str) -> None:
    vectors, labels = separated
    told: list[int] = []
    tuple(map(str, range(100)))
    result = reduce(vectors[:100], reduction, progress=lambda done, _: told.append(done))
    at_the_end = list(told)
    assert result.place is not None
    placed = result.place(vectors[100:])
    assert placed.shape == (20, 2)
    assert placed.dtype == np.float32
    nearest = KNeighborsClassifier(5).fit(result.coordinates, labels[:100])
    assert nearest.score(placed, labels[100:]) == 1
    assert result.place(vectors[100:]).tobytes() == placed.tobytes()
    assert told == at_the_end, "placing is no progress of the reduction"


@pytest.mark.parametrize("reduction", ["l2,pca:5", "tsne:10", "l2,pca:5,umap:8"])
def test_where_a_row_is_placed_does_not_depend_on_its_companions(
    separated: Planted, reduction: str
) -> None:
    """Alone, beside one that lies on a known row, in another order: equal to the last bit."""
    vectors, _ = separated
    place = reduced(vectors[:100], reduction).place
    assert place is not None
    asked = vectors[100:106]
    placed = place(asked)
    on_a_row = vectors[:1] * np.float32(1 + 1e-6)
    np.testing.assert_array_equal(place(np.concatenate([asked, on_a_row]))[:6], placed)
    np.testing.assert_array_equal(place(asked[::-1])[::-1], placed)
    for row, alone in zip(placed, asked[:, None], strict=True):
        np.testing.assert_array_equal(place(alone)[0], row)


def test_umap_keeps_planted_classes_together_whatever_the_scale(separated: Planted) -> None:
    vectors, labels = separated
    for scale in (1, 1e20):
        result = reduced(vectors * np.float32(scale), "umap:8")
        assert result.coordinates.shape == (len(vectors), 2)
        assert result.coordinates.dtype == np.float32
        nearest = KNeighborsClassifier(5).fit(result.coordinates[::2], labels[::2])
        assert nearest.score(result.coordinates[1::2], labels[1::2]) > 0.95
    (used,) = result.parameters
    assert used == {
        "method": "umap",
        "n_neighbors": 8,
        "min_dist": 0.1,
        "initialization": "spectral",
    }


def test_the_same_seed_gives_the_same_umap_and_another_another(separated: Planted) -> None:
    vectors, _ = separated
    first, again, other = (reduced(vectors, "umap:8", seed).coordinates for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)


def test_umap_of_few_rows_is_lowered_or_left_out_and_said() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 8)).astype(np.float32)
    result = reduced(vectors, "umap")
    assert result.parameters[0]["n_neighbors"] == 11
    assert result.notes == ("umap: 15 neighbors lowered to 11 for 12 rows",)
    few = reduced(vectors[:9], "umap")
    assert (few.coordinates == vectors[:9]).all()
    assert few.notes == ("umap: 9 rows are too few, it is left out",)


def test_that_umap_compiles_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "umap", raising=False)
    monkeypatch.setattr(reduction_steps, "_noted", [])
    with caplog.at_level(logging.INFO, "sosie"):
        for _ in range(2):
            reduction_steps.say_umap_compiles()
    assert caplog.messages == ["UMAP: compiling once, about half a minute at first use"]


def test_umap_of_repeated_rows_is_finite_and_silent() -> None:
    vectors = np.repeat(np.random.default_rng(0).normal(size=(4, 6)), 8, axis=0)
    result = reduced(vectors.astype(np.float32), "umap:5")
    assert np.isfinite(result.coordinates).all()


def test_progress_is_told_to_the_end(separated: Planted) -> None:
    vectors, _ = separated
    told: list[tuple[int, int]] = []
    reduce(vectors[:60], "tsne:5", progress=lambda *now: told.append(now))
    done = [now for now, _ in told]
    assert done == sorted(set(done))
    assert told[-1] == (750, 750)


@pytest.mark.parametrize("broken", [np.zeros((3, 2)), np.zeros(2), np.full((2, 2), np.nan)])
def test_coordinates_must_be_finite_and_fit_the_ids(broken: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must (have shape|be finite)"):
        Reduced(("a", "b"), broken.astype(np.float32), "none", (), 0)
