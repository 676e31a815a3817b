"""Copies and variants: what saving and scaling leave, and what makes another product."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps
from small_catalogs import shirt_of_gray

from analyze.pictures.duplicates import (
    LEAST_SIMILARITY,
    MOST_COLORED,
    MOST_LIGHTER,
    Fingerprint,
    Relation,
    fingerprint,
    groups_of_equal_bytes,
    near_equal,
    relation,
)
from analyze.pictures.image_differences import SIDE
from analyze.pictures.image_registration import Placement, register
from extract.catalog.demo import KINDS, draw_picture
from tests.benchmarks.copied_pictures import copied_pairs, other_pairs, printed_twice, saved
from tests.benchmarks.copies import judge, scores

pytestmark = pytest.mark.slow

Picture = Image.Image
ALIKE = 1.0
"""A cosine that alone would make a copy: what is left to tell is told by the picture."""


@pytest.fixture(scope="module")
def drawings() -> dict[tuple[str, int], Picture]:
    """Draw four products of each kind."""
    return {
        (kind, i): draw_picture(kind, random.Random(f"{i}/{kind}"))
        for kind in KINDS
        for i in range(4)
    }


@pytest.fixture(scope="module")
def prints(drawings: dict[tuple[str, int], Picture]) -> dict[tuple[str, int], Fingerprint]:
    return {name: fingerprint(picture) for name, picture in drawings.items()}


def turned_in_hue(picture: Picture, degrees: int) -> Picture:
    hsv = np.array(picture.convert("HSV"))
    hsv[..., 0] += np.uint8(round(degrees * 256 / 360))  # hue goes round
    return Image.fromarray(hsv, "HSV").convert("RGB")


def half(picture: Picture) -> Picture:
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)


def cropped(picture: Picture) -> Picture:
    return picture.crop((32, 32, 288, 288))  # of 320 a side, 10 % at each edge


def lighter(picture: Picture, levels: int) -> Picture:
    return picture.point(lambda v: min(255, max(0, v + levels)))


COPIED: dict[str, Callable[[Picture], Picture]] = {
    "jpeg 90": lambda p: saved(p, "JPEG", quality=90),
    "jpeg 50": lambda p: saved(p, "JPEG", quality=50),
    "jpeg 25": lambda p: saved(p, "JPEG", quality=25),
    "half": half,
    "half, jpeg 75": lambda p: saved(half(p), "JPEG", quality=75),
    "twice": lambda p: p.resize((640, 640), Image.Resampling.BICUBIC),
    "webp": lambda p: saved(p, "WEBP", quality=80),
    "8 levels lighter, jpeg 50": lambda p: saved(lighter(p, 8), "JPEG", quality=50),
    "8 levels darker": lambda p: lighter(p, -8),
    "a few pixels cut off": lambda p: p.crop((5, 0, 317, 314)),
    "others cut off, half, jpeg": lambda p: saved(half(p.crop((0, 6, 313, 320))), "JPEG"),
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
        again = fingerprint(saved(picture, "PNG", compress_level=1))
        np.testing.assert_array_equal(again.small, prints[name].small)


def test_no_two_products_are_copies_or_variants_of_one_kind_or_of_several(
    prints: dict[tuple[str, int], Fingerprint],
) -> None:
    for one, other in itertools.combinations(prints, 2):
        assert relation(prints[one], prints[other], ALIKE) is None, (one, other)


@pytest.mark.parametrize("degrees", [60, 120, 180])
def test_the_same_product_in_another_color_is_a_variant(
    drawings: dict[tuple[str, int], Picture],
    prints: dict[tuple[str, int], Fingerprint],
    degrees: int,
) -> None:
    told = 0
    for name, picture in drawings.items():
        recolored = turned_in_hue(picture, degrees)
        moved = np.abs(np.asarray(recolored, int) - np.asarray(picture, int)).max(axis=2)
        if (moved > 40).mean() < 0.1:
            continue  # gray has no hue to turn: hardly a pixel has another color
        assert relation(prints[name], fingerprint(recolored), ALIKE) is Relation.VARIANT, name
        told += 1
    assert told > 10


@pytest.mark.parametrize("levels", [-60, -20, 20, 60])
def test_the_same_picture_in_another_light_is_a_variant(
    drawings: dict[tuple[str, int], Picture], levels: int
) -> None:
    lit = levels * np.linspace(0, 1, 320)[None, :, None]
    for name, picture in list(drawings.items())[::3]:
        middle = np.asarray(picture) * 0.5 + 64
        one, other = (
            fingerprint(Image.fromarray((middle + light).astype(np.uint8))) for light in (0, lit)
        )
        assert relation(one, other, ALIKE) is Relation.VARIANT, name


def test_shirts_that_differ_in_lightness_alone_are_variants() -> None:
    shirts = [shirt_of_gray(level) for level in (25, 45, 70, 130, 185)]
    prints = [fingerprint(shirt) for shirt in shirts]
    for one, other in itertools.combinations(prints, 2):
        assert relation(one, other, ALIKE) is Relation.VARIANT
    for shirt, known in zip(shirts, prints, strict=True):
        assert near_equal(known, fingerprint(saved(half(shirt), "JPEG", quality=40)), ALIKE)


@pytest.mark.parametrize("texts", [("500 g", "250 g"), ("SUMMER", "WINTER"), ("32 GB", "64 GB")])
def test_another_printed_text_is_a_variant(
    drawings: dict[tuple[str, int], Picture], texts: tuple[str, str]
) -> None:
    for name, picture in list(drawings.items())[::5]:
        one, other = printed_twice(picture, texts, random.Random(str(name)))
        prints = [fingerprint(one), fingerprint(saved(other, "JPEG", quality=50))]
        assert relation(*prints, ALIKE) is Relation.VARIANT, name


def test_made_pairs_are_told_as_well_as_is_promised() -> None:
    judged = [judge(pair) for pair in copied_pairs(range(2000, 2010))]
    judged += [judge(pair) for pair in other_pairs(range(2000, 2009))]
    precision, recall = scores(judged)
    assert precision >= 0.99
    assert recall >= 0.98


def test_a_picture_is_laid_where_it_lies() -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8))
    large = coarse.resize((480, 480), Image.Resampling.BICUBIC)
    whole = np.asarray(large.resize((48, 48), Image.Resampling.BOX), float)
    part = np.asarray(large.resize((48, 48), Image.Resampling.BOX, (10, 6, 476, 470)), float)
    found = register(part, whole)  # cells of the part show what lies so far off in the whole
    expected = Placement((464 / 480 - 1, 466 / 480 - 1), (238 / 480 - 0.5, 243 / 480 - 0.5))
    np.testing.assert_allclose(found.stretch, expected.stretch, atol=2e-3)
    np.testing.assert_allclose(found.shift, expected.shift, atol=1e-3)
    inside = np.s_[4:-4, 4:-4]
    assert np.abs(found.lay(whole) - part)[inside].max() < 3
    darker = register(0.5 * part + 20, whole)
    np.testing.assert_allclose(darker.shift, found.shift, atol=1e-3)


def test_what_lies_on_the_edge_is_covered() -> None:
    straight = Placement((0.0, 0.0), (0.0, 0.0))
    assert straight.covers(5).all()
    inner = straight.covers(5, edge=1)
    assert inner.sum() == 9
    assert inner[1:4, 1:4].all()


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


def print_of(*levels: float) -> Fingerprint:
    """Make a fingerprint of gray cells in a frame, a wide place of them of these levels."""
    small = np.full((3, SIDE, SIDE), 128, np.uint8)
    small[0, 10:86, [10, 85]] = small[0, [10, 85], 10:86] = 255
    for plane, level in zip(small, levels, strict=False):
        plane[30:60, 30:60] = level
    return Fingerprint(small)


def test_vectors_apart_are_never_copies() -> None:
    same = print_of()
    assert near_equal(same, same, LEAST_SIMILARITY)
    for similarity in (np.nextafter(LEAST_SIMILARITY, 0), 0.5, 0.0, -1.0):
        assert not near_equal(same, same, similarity)


@pytest.mark.parametrize(
    ("plane", "most"), [(0, MOST_LIGHTER), (1, MOST_COLORED), (2, MOST_COLORED)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_lightness_and_color_each_have_their_limit(plane: int, most: float, sign: int) -> None:
    levels = [128.0, 128.0, 128.0]
    same = print_of(*levels)
    levels[plane] += sign * (most - 1)
    assert near_equal(same, print_of(*levels), ALIKE)
    levels[plane] += sign * 2
    assert not near_equal(same, print_of(*levels), ALIKE)


@pytest.mark.parametrize("size", [(1, 1), (3, 100), (1000, 10), (64, 64)])
@pytest.mark.parametrize("color", ["white", "black", "red"])
def test_plain_pictures_of_any_shape_have_a_fingerprint(size: tuple[int, int], color: str) -> None:
    taken = fingerprint(Image.new("RGB", size, color))
    assert taken.small.shape == (3, SIDE, SIDE)
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
