"""Pictures as the model saw them: the reference's very pixels, on sheets and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image, ImageOps
from small_catalogs import tiny_backbone

from analyze.neighbors.query import Query
from analyze.neighbors.similar import Answer, Hit
from analyze.neighbors.similar_sheet import draw_answer
from analyze.pictures.catalog_sheet import draw_glance, glance_at
from analyze.pictures.duplicates import fingerprint
from analyze.pictures.model_input import AsSeen, as_seen
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation.contact_sheet import TILE_PIXELS
from extract.backbones.registry import Backbone
from extract.images.augmentation import View, augment
from extract.images.decoding import decode_picture
from extract.images.reading import read_picture
from extract.storage.embeddings import EmbeddingSet, Provenance
from extract.transforms.preprocessing import Preprocessing

Embed = Callable[..., EmbeddingSet]
RED = (230, 20, 20)


def sees(resize: str, crop_pct: float = 1.0) -> Preprocessing:
    return Preprocessing(48, resize, crop_pct, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


CROP, SQUASH, PAD = sees("crop", 0.875), sees("squash"), sees("pad")


def backbone_of(seen: Preprocessing) -> Backbone:
    return replace(tiny_backbone(), preprocessing=seen)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures: wide and red at its left edge, high and red at its top, two nearly square."""
    root, noise = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for i, (height, width) in enumerate([(60, 180), (180, 60), (90, 100), (48, 48)]):
        pixels = noise.integers(60, 160, (height, width, 3), np.uint8)
        if width > 150:
            pixels[:, :20] = RED
        if height > 150:
            pixels[:20] = RED
        Image.fromarray(pixels).save(root / f"{i:04}.png")
    return root


@pytest.fixture
def shown(embeddings_of: Embed, folder: Path) -> Callable[..., PictureFolder]:
    """Make the folder's pictures those of a file whose backbone sees them so."""

    def make(identity: dict[str, Any], *, seen: bool = True) -> PictureFolder:
        vectors = np.random.default_rng(1).normal(size=(4, 6))
        products = embeddings_of(vectors, ["wide", "high", "square", "square"])
        return PictureFolder(
            replace(products, provenance=Provenance(identity, ())), folder, seen=seen
        )

    return make


def picture(folder: Path, row: int) -> Image.Image:
    return decode_picture((folder / f"{row:04}.png").read_bytes())


def is_red(pixels: Any) -> bool:
    return bool((np.abs(np.asarray(pixels).astype(int) - RED).max(axis=2) < 40).any())


@pytest.mark.parametrize("seen", [CROP, SQUASH, PAD], ids=lambda seen: seen.resize)
def test_a_picture_is_shown_as_the_references_own_pixels(
    folder: Path, shown: Callable[..., PictureFolder], seen: Preprocessing
) -> None:
    pictures = shown(backbone_of(seen).identity)
    for row in range(4):
        np.testing.assert_array_equal(
            np.asarray(pictures.show(row)), seen.placed(picture(folder, row))
        )
        np.testing.assert_array_equal(np.asarray(pictures.open(row)), picture(folder, row))
        whole, taken = fingerprint(picture(folder, row)), pictures.fingerprint(row)
        assert taken is not None
        np.testing.assert_array_equal(taken.small, whole.small)


def test_a_red_edge_is_never_seen_by_crop_and_always_by_pad(
    shown: Callable[..., PictureFolder],
) -> None:
    for row in (0, 1):
        red = [is_red(shown(backbone_of(each).identity).show(row)) for each in (CROP, SQUASH, PAD)]
        assert red == [False, True, True]


def test_without_the_request_pictures_are_whole(
    folder: Path, shown: Callable[..., PictureFolder]
) -> None:
    pictures = shown(backbone_of(CROP).identity, seen=False)
    for row in range(4):
        np.testing.assert_array_equal(np.asarray(pictures.show(row)), picture(folder, row))
    assert (pictures.how_shown, pictures.notes(), pictures.part_seen(0)) == ("", (), [])


def test_a_view_is_shown_as_it_was_augmented(
    folder: Path, shown: Callable[..., PictureFolder]
) -> None:
    view = View("catalog-1", 3, 1)
    pictures = shown(replace(backbone_of(PAD), view=view).identity)
    file = read_picture(folder, "0000.png")
    augmented = augment(PAD.placed(decode_picture(file.content)), view, file.sha256)
    np.testing.assert_array_equal(np.asarray(pictures.show(0)), augmented)
    assert pictures.how_shown.endswith("whole, on white (pad), 48 px, catalog-1 view 1")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (CROP, "center cut out (crop), 48 px"),
        (SQUASH, "squashed to a square (squash), 48 px"),
        (PAD, "whole, on white (pad), 48 px"),
        (sees("squash", 0.9), "squashed to a square, center cut out (squash), 48 px"),
    ],
)
def test_a_geometry_is_said_in_words(seen: Preprocessing, words: str) -> None:
    found = as_seen(backbone_of(seen).identity)
    assert found == AsSeen(seen)
    assert found is not None
    assert found.words == words


def test_a_file_that_does_not_say_how_is_shown_whole_with_a_note(
    folder: Path, shown: Callable[..., PictureFolder]
) -> None:
    pictures = shown({"backbone": "elsewhere", "geometry": {"size": 32}})
    np.testing.assert_array_equal(np.asarray(pictures.show(0)), picture(folder, 0))
    assert pictures.how_shown == ""
    (note,) = pictures.notes()
    assert "shown whole" in note


# sheets


def tiles_of(figure: Any) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def texts_of(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def in_a_tile(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(ImageOps.pad(Image.fromarray(pixels), (TILE_PIXELS, TILE_PIXELS)))


@pytest.mark.parametrize("seen", [CROP, PAD], ids=lambda seen: seen.resize)
def test_a_sheet_of_look_alikes_shows_query_and_hits_as_seen(
    folder: Path, shown: Callable[..., PictureFolder], seen: Preprocessing
) -> None:
    pictures = shown(backbone_of(seen).identity)
    products = pictures.embeddings
    hits = (Hit(1, 0.5), Hit(2, 0.25))
    stored = Answer(Query("0000.png", products.vectors[0], 0), hits)
    new = Answer(Query("new.png", products.vectors[0], None, picture(folder, 0), b"new"), hits)
    for answer in (stored, new):
        figure = draw_answer(products, answer, pictures, products.levels[0], None)
        expected = [in_a_tile(seen.placed(picture(folder, row))) for row in (0, 1, 2)]
        for tile, pixels in zip(tiles_of(figure), expected, strict=True):
            np.testing.assert_array_equal(tile, pixels)
        texts = texts_of(figure)
        lines = [text.replace("\n", " ") for text in texts]  # a heading goes on in a second one
        assert any(f"as the model saw them: {AsSeen(seen).words}" in text for text in lines)
        said = [text.partition("\n")[0] for text in texts if "of it seen" in text]
        assert said == (["26 % of it seen"] * 2 if seen is CROP else [])
    notes = pictures.notes()
    assert notes == (
        ("the model saw less than half of 3 of the pictures shown",) if seen is CROP else ()
    )


def test_a_catalogue_at_a_glance_is_shown_as_seen_each_picture_framed(
    folder: Path, shown: Callable[..., PictureFolder]
) -> None:
    drawn = {}
    for seen in (False, True):
        pictures = shown(backbone_of(PAD).identity, seen=seen)
        glance = glance_at(pictures.embeddings, pictures.embeddings.levels[0])
        drawn[seen] = draw_glance(glance, pictures, n_examples=2, seed=0)
    rows = [glance.classes[i][1].tolist() for i in range(3)]
    expected = [in_a_tile(PAD.placed(picture(folder, row))) for each in rows for row in each]
    for tile, pixels in zip(tiles_of(drawn[True]), expected, strict=True):
        np.testing.assert_array_equal(tile, pixels)
    assert any("saw them: whole, on white" in text for text in texts_of(drawn[True]))
    assert not any("saw them" in text for text in texts_of(drawn[False]))
    for seen, figure in drawn.items():
        frames = {s.get_visible() for a in figure.axes if a.images for s in a.spines.values()}
        assert frames == {seen}
