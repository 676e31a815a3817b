"""Copies: what saving and scaling leave equal, and what makes another product."""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from analyze.duplicates import (
    LEAST_SIMILARITY,
    MOST_BITS_APART,
    MOST_COLOR_APART,
    Fingerprint,
    fingerprint,
    groups_of_equal_bytes,
    near_equal,
)
from extract.demo import KINDS, draw_picture

Picture = Image.Image
ALIKE = 1.0
"""A cosine that alone would make a copy: what is left to tell is told by the picture."""


@pytest.fixture(scope="module")
def drawings() -> dict[tuple[str, int], Picture]:
    """Draw six products of each of seven kinds."""
    return {
        (kind, i): draw_picture(kind, random.Random(f"{i}/{kind}"))
        for kind in KINDS
        for i in range(6)
    }


@pytest.fixture(scope="module")
def prints(drawings: dict[tuple[str, int], Picture]) -> dict[tuple[str, int], Fingerprint]:
    return {name: fingerprint(picture) for name, picture in drawings.items()}


def saved(picture: Picture, kind: str, **options: int) -> Picture:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return Image.open(file).convert("RGB")


def turned_in_hue(picture: Picture, degrees: int) -> Picture:
    hsv = np.array(picture.convert("HSV"))
    hsv[..., 0] += np.uint8(round(degrees * 256 / 360))  # hue goes round
    return Image.fromarray(hsv, "HSV").convert("RGB")


def half(picture: Picture) -> Picture:
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)


def cropped(picture: Picture) -> Picture:
    return picture.crop((32, 32, 288, 288))  # of 320 a side, 10 % at each edge


COPIED: dict[str, Callable[[Picture], Picture]] = {
    "png": lambda p: saved(p, "PNG"),
    "jpeg 90": lambda p: saved(p, "JPEG", quality=90),
    "jpeg 50": lambda p: saved(p, "JPEG", quality=50),
    "jpeg 25": lambda p: saved(p, "JPEG", quality=25),
    "half": half,
    "half, jpeg 75": lambda p: saved(half(p), "JPEG", quality=75),
    "twice": lambda p: p.resize((640, 640), Image.Resampling.BICUBIC),
    "webp": lambda p: saved(p, "WEBP", quality=80),
}


@pytest.mark.parametrize("how", COPIED)
def test_saving_and_scaling_leave_a_copy(
    drawings: dict[tuple[str, int], Picture], prints: dict[tuple[str, int], Fingerprint], how: str
) -> None:
    for name, picture in drawings.items():
        assert near_equal(prints[name], fingerprint(COPIED[how](picture)), ALIKE), name


def test_saving_without_loss_changes_nothing(
    drawings: dict[tuple[str, int], Picture], prints: dict[tuple[str, int], Fingerprint]
) -> None:
    for name, picture in drawings.items():
        again = fingerprint(saved(picture, "PNG"))
        np.testing.assert_array_equal(again.bits, prints[name].bits)
        np.testing.assert_array_equal(again.color, prints[name].color)


def test_no_two_products_are_copies_of_one_kind_or_of_several(
    prints: dict[tuple[str, int], Fingerprint],
) -> None:
    for one, other in itertools.combinations(prints, 2):
        assert not near_equal(prints[one], prints[other], ALIKE), (one, other)


@pytest.mark.parametrize("degrees", [60, 120, 180])
def test_the_same_product_in_another_color_is_no_copy(
    drawings: dict[tuple[str, int], Picture],
    prints: dict[tuple[str, int], Fingerprint],
    degrees: int,
) -> None:
    told_by_color = 0
    for name, picture in drawings.items():
        recolored = turned_in_hue(picture, degrees)
        moved = np.abs(np.asarray(recolored, int) - np.asarray(picture, int)).max(axis=2)
        if (moved > 40).mean() < 0.1:
            continue  # gray has no hue to turn: hardly a pixel has another color
        other = fingerprint(recolored)
        assert not near_equal(prints[name], other, ALIKE), name
        told_by_color += int((other.bits != prints[name].bits).sum() <= MOST_BITS_APART)
    assert told_by_color > 10, "the hash alone takes them for copies"


@pytest.mark.parametrize("change", [ImageOps.mirror, ImageOps.flip, cropped])
def test_mirrored_and_cropped_pictures_are_no_copies(
    drawings: dict[tuple[str, int], Picture],
    prints: dict[tuple[str, int], Fingerprint],
    change: Callable[[Picture], Picture],
) -> None:
    for name, picture in drawings.items():
        assert not near_equal(prints[name], fingerprint(change(picture)), ALIKE), name


def test_a_copy_is_one_both_ways(
    drawings: dict[tuple[str, int], Picture], prints: dict[tuple[str, int], Fingerprint]
) -> None:
    some = [*prints.values()][:12]
    some += [fingerprint(COPIED["jpeg 25"](p)) for p in [*drawings.values()][:12]]
    said = [[near_equal(a, b, 0.9) for b in some] for a in some]
    assert np.array_equal(said, np.transpose(said))
    assert np.diagonal(said).all()
    assert np.sum(said) == 24 + 2 * 12, "each with itself and with its own copy, no other"


def print_of(n_bits: int = 0, color: float = 0.5) -> Fingerprint:
    """Make a fingerprint so many bits away from none, one place of so much color."""
    chroma = np.full((8, 8, 2), 0.5, dtype=np.float32)
    chroma[3, 4, 1] = color
    return Fingerprint(np.arange(256) < n_bits, chroma)


def test_vectors_apart_are_never_copies() -> None:
    same = print_of()
    assert near_equal(same, same, LEAST_SIMILARITY)
    for similarity in (np.nextafter(LEAST_SIMILARITY, 0), 0.5, 0.0, -1.0):
        assert not near_equal(same, same, similarity)


def test_hash_and_color_each_have_their_limit() -> None:
    same = print_of()
    assert near_equal(same, print_of(MOST_BITS_APART), ALIKE)
    assert not near_equal(same, print_of(MOST_BITS_APART + 1), ALIKE)
    for sign in (1, -1):
        assert near_equal(same, print_of(color=0.5 + sign * (MOST_COLOR_APART - 0.01)), ALIKE)
        assert not near_equal(same, print_of(color=0.5 + sign * (MOST_COLOR_APART + 0.01)), ALIKE)


@pytest.mark.parametrize("size", [(1, 1), (3, 100), (1000, 10), (64, 64)])
@pytest.mark.parametrize("color", ["white", "black", "red"])
def test_plain_pictures_of_any_shape_have_a_fingerprint(size: tuple[int, int], color: str) -> None:
    taken = fingerprint(Image.new("RGB", size, color))
    assert taken.bits.shape == (256,)
    assert taken.color.shape == (8, 8, 2)
    assert ((taken.color >= 0) & (taken.color <= 1)).all()
    assert near_equal(taken, taken, ALIKE)


# equal bytes


def hashes(*firsts: int) -> np.ndarray:
    """Make a hash a picture from a number; 0 is one that is not known."""
    made = np.zeros((len(firsts), 32), dtype=np.uint8)
    made[:, 31] = firsts  # told apart by their last byte alone
    return made


def grouped(numbers: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(np.flatnonzero(numbers == n).tolist()) for n in numbers}


def test_equal_hashes_are_one_group_and_no_others_are() -> None:
    found = groups_of_equal_bytes(hashes(5, 7, 5, 9, 7, 5), 6)
    assert found.shape == (6,)
    assert grouped(found) == {(0, 2, 5), (1, 4), (3,)}


def test_hashes_that_are_not_known_are_equal_to_none() -> None:
    found = groups_of_equal_bytes(hashes(0, 7, 0, 7, 0), 5)
    assert grouped(found) == {(0,), (1, 3), (2,), (4,)}
    assert grouped(groups_of_equal_bytes(hashes(0, 0), 2)) == {(0,), (1,)}


def test_without_hashes_each_picture_is_a_group() -> None:
    assert grouped(groups_of_equal_bytes(None, 4)) == {(0,), (1,), (2,), (3,)}
    assert len(groups_of_equal_bytes(None, 0)) == 0


def test_groups_of_many_hashes_equal_a_dictionary() -> None:
    rng = np.random.default_rng(0)
    some = rng.integers(0, 256, (40, 32), dtype=np.uint8)[rng.integers(0, 40, 200)]
    some[rng.integers(0, 200, 10)] = 0
    by_bytes: dict[bytes, list[int]] = {}
    for i, row in enumerate(some):
        by_bytes.setdefault(row.tobytes() if row.any() else b"%d" % i, []).append(i)
    before = some.copy()
    assert grouped(groups_of_equal_bytes(some, 200)) == set(map(tuple, by_bytes.values()))
    np.testing.assert_array_equal(some, before)
