"""Vectors that one has already: taken as they are, in their order, or refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analyze import cluster, reduce
from extract import EmbeddingSet
from extract.errors import UsageError
from extract.storage.embeddings import as_embeddings

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
from_arrays = EmbeddingSet.from_arrays


@pytest.mark.parametrize(
    "vectors",
    [
        VECTORS,
        VECTORS.astype(np.float64),
        VECTORS.astype(np.int64),
        VECTORS.tolist(),
        torch.from_numpy(VECTORS),
        pd.DataFrame(VECTORS),
        np.asfortranarray(VECTORS),
    ],
)
def test_any_table_of_numbers_is_one_set(vectors: Any) -> None:
    found = from_arrays(vectors)
    np.testing.assert_array_equal(found.vectors, VECTORS, strict=True)
    assert found.ids == ("0", "1", "2", "3")
    assert found.fingerprint == from_arrays(VECTORS).fingerprint


def test_what_fits_is_not_copied() -> None:
    assert from_arrays(VECTORS).vectors is VECTORS


def test_ids_keep_their_order_and_become_text() -> None:
    ids = [10, 9, "b", "a"]
    assert from_arrays(VECTORS, ids).ids == ("10", "9", "b", "a")
    assert from_arrays(pd.DataFrame(VECTORS, index=ids)).ids == ("10", "9", "b", "a")


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, pd.NaT])
def test_what_is_missing_is_a_row_without_a_label(gap: Any) -> None:
    (level,) = from_arrays(VECTORS, labels=["hat", gap, "cup", "hat"]).levels
    assert (level.name, level.values()) == ("label", ("hat", None, "cup", "hat"))


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0, 1, -1],
        np.array([1.0, 0.0, 1.0, -1.0]),
        pd.Series([1, 0, 1, -1], name="label"),
        {"label": [1, 0, 1, -1]},
        pd.DataFrame({"label": pd.array([1, 0, 1, -1], dtype="Int64")}),
    ],
)
def test_numbers_are_classes_by_their_names(labels: Any) -> None:
    (level,) = from_arrays(VECTORS, labels=labels).levels
    assert (level.name, level.values()) == ("label", ("1", "0", "1", "-1"))


@pytest.mark.parametrize(
    "labels",
    [
        {"c": "cup", "a": "hat"},
        pd.Series(["cup", "hat"], index=["c", "a"]),
        pd.DataFrame({"label": ["cup", "hat"]}, index=["c", "a"]),
    ],
)
def test_labels_by_id_are_joined(labels: Any) -> None:
    (level,) = from_arrays(VECTORS, list("abcd"), labels).levels
    assert level.values() == ("hat", None, "cup", None)


def test_several_columns_are_levels_by_their_names() -> None:
    frame = pd.DataFrame({"kind": list("xxyy"), "color": list("rgbr")})
    for labels in (frame, frame.to_dict(orient="list")):
        kind, color = from_arrays(VECTORS, labels=labels).levels
        assert (kind.name, color.name) == ("kind", "color")
        assert (kind.values(), color.values()) == (tuple("xxyy"), tuple("rgbr"))


ONES = np.ones((4, 3))
REFUSED = [
    (np.ones(3), {}, r"shape \(3,\) is not \(n, n_dims\).*vectors\[None\]"),
    (np.ones((2, 2, 2)), {}, r"shape \(2, 2, 2\) is not"),
    ([[1, 2], [3]], {}, "different lengths"),
    (np.zeros((0, 3)), {}, "holds nothing"),
    (np.array([["a", "b"]]), {}, "not a kind of real number"),
    (np.array([[1j, 2]]), {}, "complex128 is not"),
    (np.array([[None, 1.0]], dtype=object), {}, "object is not"),
    (np.array([[1.0, 2], [np.nan, 1]]), {}, "1 rows with NaN.* row 1 first"),
    (np.array([[1e300, 2]]), {}, "beyond float32, row 0 first"),
    (ONES, {"ids": ["a"]}, "1 for 4 rows of vectors$"),
    (ONES, {"ids": ["a", "b", "c"]}, r"look transposed, give vectors\.T"),
    (ONES, {"ids": ["a", "b", "a", "c"]}, "'a' stands twice"),
    (ONES, {"ids": ["a", "b", "c", "d\0"]}, r"'d\\x00' is empty or holds NUL"),
    (ONES, {"ids": ["a", "b", "c", ""]}, "'' is empty"),
    (ONES, {"labels": ["a", "b"]}, "2 of 'label' for 4 rows"),
    (ONES, {"labels": {"kind": ["a", "b"]}}, "2 of 'kind' for 4 rows"),
    (ONES, {"labels": {"7": "cup"}}, "1 ids that no row of vectors has, '7' first"),
    (ONES, {"labels": [["a"], ["b"], ["c"], ["d"]]}, "'label' holds lists"),
    (ONES, {"labels": pd.Series(["x", "y"], index=["1", "1"])}, "an id stands twice"),
]


@pytest.mark.parametrize(("vectors", "others", "line"), REFUSED)
def test_what_cannot_be_taken_is_one_line(vectors: Any, others: Any, line: str) -> None:
    with pytest.raises(UsageError, match=line) as refused:
        from_arrays(vectors, **others)
    assert "\n" not in str(refused.value)


def test_rows_are_taken_by_id_mask_number_and_slice() -> None:
    whole = from_arrays(VECTORS, list("abcd"), list("xyxy"))
    for rows in (["d", "b"], [3, 1], np.array([3, 1])):
        part = whole[rows]
        assert part.ids == ("d", "b")
        np.testing.assert_array_equal(part.vectors, VECTORS[[3, 1]])
        assert part.levels[0].values() == ("y", "y")
    assert whole[[True, False, True, False]].ids == whole[::2].ids == ("a", "c")
    assert whole["c"].ids == ("c",)
    assert len(whole[[]]) == 0
    for rows, error in ((["e"], KeyError), ([True], IndexError), ([4], IndexError)):
        with pytest.raises(error):
            whole[rows]


def test_a_frame_gives_the_set_back() -> None:
    whole = from_arrays(VECTORS, list("dbca"), ["x", None, "y", "x"], name="mine")
    frame = whole.to_frame()
    back = from_arrays(frame.filter(regex=r"^d\d+$"), labels=frame["label"])
    np.testing.assert_array_equal(back.vectors, VECTORS)
    assert back.ids == whole.ids
    assert back.levels[0].values() == whole.levels[0].values()
    assert list(whole.to_frame(vectors=False).columns) == ["label"]


def test_frames_of_rows_without_ids_join_by_counting() -> None:
    labels = pd.Series(["x", "y", "x", "y"])
    whole = from_arrays(VECTORS, labels=labels)
    for found in (whole, cluster(VECTORS, 2), reduce(VECTORS, "pca:2")):
        frame = found.to_frame()
        frame["true"] = labels
        assert frame["true"].tolist() == labels.tolist()
        assert frame.index.name == "id"
    assert whole[:0].to_frame().empty
    for ids in (["1", "0", "2", "3"], ["0", "1", "2", "03"]):
        assert from_arrays(VECTORS, ids).to_frame().index.tolist() == ids


def test_a_representation_stays_short() -> None:
    n = 10_000
    whole = from_arrays(np.ones((n, 2)), labels=np.arange(n) % 7, name="mine")
    assert repr(whole) == "EmbeddingSet(10000 x 2, mine, label of 7)"


def test_labels_given_beside_a_set_take_the_place_of_its_own() -> None:
    whole = from_arrays(VECTORS, labels=list("xxyy"))
    assert as_embeddings(whole) is whole
    assert as_embeddings(whole, list("abab")).levels[0].values() == tuple("abab")
