"""Products of several pictures as the mean of their vectors, against a loop and planted numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from extract import EmbeddingSet
from extract.errors import CatalogError, UsageError

RNG = np.random.default_rng(3)
N = 60
SKUS = tuple(f"p{number}" for number in RNG.integers(0, 14, N))
PLACES = tuple(str(SKUS[:row].count(sku) + 1) for row, sku in enumerate(SKUS))
KINDS = [f"kind {sku[-1]}" for sku in SKUS]
ROWS = replace(
    EmbeddingSet.from_arrays(RNG.normal(size=(N, 9)), [f"{i:02}" for i in range(N)], KINDS),
    columns={"sku": SKUS, "at": PLACES, "note": tuple(f"note {row}" for row in range(N))},
    group_column="sku",
    content_sha256=RNG.integers(1, 256, (N, 32), dtype=np.uint8),
    left_out={"missing": 2},
)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_mean_of_each_product_is_that_of_a_loop(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(N)  # the rows' order has no say
    found = ROWS.take(order).mean_of_groups("at")
    assert found.ids == tuple(sorted(set(SKUS), key=str.encode))
    assert found.n_pictures is not None
    assert found.paths is not None
    assert found.content_sha256 is not None
    assert (found.group_column, found.left_out) == (None, {"missing": 2})
    assert set(found.columns) == {"sku", "note"}
    for i, sku in enumerate(found.ids):
        own = [row for row in range(N) if SKUS[row] == sku]
        mean = sum(ROWS.vectors[row].astype(float) for row in own) / len(own)
        np.testing.assert_allclose(found.vectors[i], mean, rtol=1e-6, atol=1e-7)
        assert found.n_pictures[i] == len(own)
        assert found.levels[0].value(i) == f"kind {sku[-1]}"
        assert (found.paths[i], found.columns["note"][i]) == (f"{own[0]:02}", f"note {own[0]}")
        known = ROWS.content_sha256[own[0]] if len(own) == 1 else np.zeros(32)  # type: ignore[index]
        np.testing.assert_array_equal(found.content_sha256[i], known)
    assert min(found.n_pictures) == 1
    some = found.take(np.array([2, 0]))
    assert some.n_pictures is not None
    assert some.n_pictures.tolist() == found.n_pictures[[2, 0]].tolist()


def test_the_tenth_picture_is_not_before_the_second() -> None:
    rows = replace(ROWS[:12], columns={"sku": ("x",) * 12, "at": tuple(map(str, range(12, 0, -1)))})
    rows = replace(rows, levels=())
    assert rows.mean_of_groups("at").paths == ("11",)


def test_products_of_one_picture_are_the_rows_bit_for_bit() -> None:
    rows = replace(ROWS, columns={"sku": ROWS.ids}, group_column="sku")
    found = rows.mean_of_groups()
    np.testing.assert_array_equal(found.vectors, ROWS.vectors)
    assert found.content_sha256 is not None
    np.testing.assert_array_equal(found.content_sha256, ROWS.content_sha256)
    assert found.n_pictures is None
    found.refuse_means("--unfreeze")


def test_what_cannot_be_averaged_is_one_line() -> None:
    with pytest.raises(UsageError, match="no groups to average"):
        replace(ROWS, group_column=None).mean_of_groups()
    with pytest.raises(CatalogError, match="pictures of 'x' have different labels in 'label'"):
        replace(ROWS, columns={"sku": ("x",) * N}).mean_of_groups()
    with pytest.raises(
        UsageError, match=r"--unfreeze needs a row for each picture, and [0-9]+ rows"
    ):
        ROWS.mean_of_groups("at").refuse_means("--unfreeze")
