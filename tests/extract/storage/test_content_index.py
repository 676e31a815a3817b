"""Rows by content: what a plain dictionary would find."""

from __future__ import annotations

import numpy as np

from extract.storage.content_index import KEY_BYTES, ContentIndex


def test_finds_what_a_dictionary_finds_also_when_keys_collide() -> None:
    rng = np.random.default_rng(0)
    contents = rng.integers(0, 256, (400, 32), dtype=np.uint8)
    contents[:, :KEY_BYTES] = contents[rng.integers(0, 5, 400), :KEY_BYTES]  # five keys in all
    contents[200:220] = contents[:20]  # equal contents
    rows = np.flatnonzero(rng.random(400) < 0.7)
    expected = {contents[row].tobytes(): row for row in rows[::-1].tolist()}
    index = ContentIndex(contents, rows)
    for content in contents:
        assert index.find(content.tobytes()) == expected.get(content.tobytes(), -1)
    assert index.find(bytes(32)) == -1
    index.add(bytes(32), 7)
    assert index.find(bytes(32)) == 7


def test_an_empty_index_finds_nothing() -> None:
    index = ContentIndex(np.zeros((3, 32), np.uint8), np.array([], int))
    assert index.find(bytes(32)) == -1
