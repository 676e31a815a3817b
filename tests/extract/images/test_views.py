"""Views: what is done to a picture is its own, and its row is that of the augmented picture."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_catalogs import StopAfter, draw_noise, embedded_alone

from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.errors import UsageError
from extract.images import augmentation as views
from extract.images import decoders
from extract.images.augmentation import POLICIES, Policy, View, augment, reference_pixels, view_of
from extract.images.augmentation_sheet import GAP, HEAD, TILE, draw_views
from extract.images.reading import read_picture
from extract.inference.execution_config import ExecutionOptions, choose_execution_config
from extract.loading import picture as loading
from extract.pipeline.extraction import Options, Target, extract_embeddings, extract_together
from extract.storage.embeddings_file import read_embeddings

SHA = hashlib.sha256(b"a picture").digest()
FIRST = View("catalog-1", 0, 1)
REFERENCE = Options(batch_size=4, threads=1, workers=2, decoder="reference", runtime="eager")


@pytest.fixture
def pixels() -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(blocks).resize((48, 48), Image.Resampling.BICUBIC))


def of_policy(monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray, policy: Policy) -> np.ndarray:
    monkeypatch.setitem(POLICIES, "planted", policy)
    return augment(pixels, View("planted", 0, 1), SHA).astype(int)


def test_view_depends_on_policy_seed_index_and_content_alone(pixels: np.ndarray) -> None:
    made = augment(pixels, FIRST, SHA)
    assert made.shape == pixels.shape
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(made, augment(pixels, FIRST, SHA))
    others = [
        augment(pixels, View("geometric-1", 0, 1), SHA),
        augment(pixels, View("catalog-1", 1, 1), SHA),
        augment(pixels, View("catalog-1", 0, 2), SHA),
        augment(pixels, FIRST, hashlib.sha256(b"another").digest()),
    ]
    for other in others:
        assert np.abs(made.astype(int) - other).mean() > 3


def test_what_is_drawn_is_even_and_never_changes() -> None:
    drawn = np.array([list(views._drawn(replace(FIRST, index=i), SHA)) for i in range(1, 400)])
    assert drawn.shape[1] == 16
    assert np.abs(drawn.mean(axis=0) - 0.5).max() < 0.06  # four standard errors
    assert np.abs(np.corrcoef(drawn.T) - np.eye(16)).max() < 0.25
    by_hand = hashlib.sha512(b"catalog-1\x000\x001\x00" + SHA).digest()
    assert drawn[0, 0] == int.from_bytes(by_hand[:4], "little") / 2**32


def test_policy_that_changes_nothing_gives_the_picture(
    monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray
) -> None:
    np.testing.assert_array_equal(of_policy(monkeypatch, pixels, Policy()), pixels)


def test_flip_changes_left_and_right(monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray) -> None:
    made = of_policy(monkeypatch, pixels, Policy(flip=1.0))
    assert np.abs(made - pixels[:, ::-1]).max() <= 1


def test_turned_picture_keeps_its_center_and_an_even_ground(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = np.full((101, 101, 3), 250, np.uint8)
    seen[48:53, 48:53] = 10
    for index in range(1, 12):
        monkeypatch.setitem(POLICIES, "planted", Policy(rotation=15.0, zoom=1.2, flip=0.5))
        made = augment(seen, View("planted", 0, index), SHA)
        assert made[50, 50].max() < 20
        dark = np.argwhere(made[:, :, 0] < 130)
        assert np.abs(dark.mean(axis=0) - 50).max() < 0.6
        assert 15 <= len(dark) <= 40  # 25 pixels, at most 1.2 times as wide or narrow
        ground = np.ones((101, 101), bool)
        ground[40:61, 40:61] = False
        assert (made[ground] == 250).all()  # the edge is repeated: no corner comes in black


def test_light_and_color_do_what_they_say(
    monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray
) -> None:
    middle = pixels // 2 + 64  # nothing is cut off
    brighter = of_policy(monkeypatch, middle, Policy(brightness=0.2))
    drawn = list(views._drawn(View("planted", 0, 1), SHA))
    first, second, third = (2 * share - 1 for share in drawn[:3])
    assert np.abs(brighter - middle * (1 + 0.2 * first)).max() <= 1
    light = np.asarray(Image.fromarray(middle).convert("L")).mean()
    contrasted = of_policy(monkeypatch, middle, Policy(contrast=0.2))
    assert np.abs(contrasted - (light + (middle - light) * (1 + 0.2 * second))).max() <= 1
    grey = (middle @ np.array(views.GREY))[:, :, None]
    colored = of_policy(monkeypatch, middle, Policy(saturation=0.3))
    assert np.abs(colored - (grey + (middle - grey) * (1 + 0.3 * third))).max() <= 1


@pytest.mark.parametrize(
    "said",
    [
        "view 1",
        {"policy": "catalog-1", "seed": 0},
        {"policy": "catalog-1", "seed": -1, "index": 1},
        {"policy": "catalog-1", "seed": 0, "index": "1"},
        {"policy": ["catalog-1"], "seed": 0, "index": 1},
    ],
)
def test_what_is_no_view_is_refused(said: object) -> None:
    with pytest.raises(UsageError, match="the file's identity names no view"):
        view_of({"view": said})
    with pytest.raises(UsageError, match="choose one of geometric-1, catalog-1"):
        View("sepia", 0, 1)
    assert view_of({"backbone": "x"}) is None
    assert view_of({"view": FIRST.described()}) == FIRST


def test_identity_of_plain_vectors_is_as_it_was(backbone: Backbone) -> None:
    assert "view" not in backbone.identity
    assert backbone.viewed(FIRST).viewed(None).identity == backbone.identity
    identities = {
        backbone.viewed(view).provenance.short_identity
        for view in (None, FIRST, View("catalog-1", 0, 2), View("catalog-1", 1, 1))
    }
    assert len(identities) == 4


def embed(pictures: Path, backbone: Backbone, folder: Path, options: Options = REFERENCE) -> Path:
    """Embed the pictures and two of their views in one pass."""
    sights = [None, FIRST, View("catalog-1", 0, 2)]
    targets = [
        Target(backbone.viewed(view), folder / f"{view.index if view else 0}.h5") for view in sights
    ]
    extract_together(list_folder(pictures), targets, options=options)
    return folder


def test_row_of_a_view_is_that_of_the_augmented_picture(
    pictures: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode = decoders.decode_picture
    monkeypatch.setattr(
        decoders, "decode_picture", lambda content: decoded.append(1) or decode(content)
    )
    folder = embed(pictures, backbone, tmp_path)
    assert len(decoded) == 21  # once for all three files
    plain, first = (read_embeddings(folder / f"{i}.h5") for i in (0, 1))
    assert plain.ids == first.ids
    for row in (0, 7, 20):
        file = read_picture(pictures, first.ids[row])
        placed = backbone.preprocessing.placed(decode(file.content))
        by_hand = augment(placed, FIRST, hashlib.sha256(file.content).digest())
        scaled = torch.from_numpy(by_hand).permute(2, 0, 1).float() / 255
        expected = backbone.model(((scaled - 0.5) / 0.5)[None])[0].numpy()
        np.testing.assert_allclose(first.vectors[row], expected, atol=1e-6)
        np.testing.assert_array_equal(
            reference_pixels(file, backbone.preprocessing).numpy(),
            backbone.preprocessing.transform()(decode(file.content)).numpy(),
        )
        np.testing.assert_allclose(
            plain.vectors[row], embedded_alone(backbone, pictures / first.ids[row]), atol=1e-6
        )
        assert np.abs(first.vectors[row] - plain.vectors[row]).max() > 1e-4


def test_fast_path_makes_the_same_views(pictures: Path, backbone: Backbone, tmp_path: Path) -> None:
    fast = Options(batch_size=4, threads=1, workers=1, decoder="fast", runtime="eager")
    target = Target(backbone.viewed(FIRST), tmp_path / "fast.h5")
    report = extract_together(list_folder(pictures), [target], options=fast)[0]
    assert report.fidelity is not None
    assert report.fidelity.worst_cosine > 0.9999


def test_views_do_not_depend_on_workers_names_or_companions(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    whole = read_embeddings(embed(pictures, backbone, tmp_path / "a") / "1.h5")
    moved = tmp_path / "moved"
    draw_noise(moved / "new" / "0.png", 999)
    for i, path in enumerate(sorted(pictures.rglob("*.png"))):
        shutil.copy(path, moved / f"{20 - i}.png")
    shutil.copy(moved / "0.png", moved / "again.png")
    alone = replace(REFERENCE, workers=1, batch_size=7)
    path = tmp_path / "b.h5"
    extract_embeddings(list_folder(moved), backbone.viewed(FIRST), path, options=alone)
    other = read_embeddings(path)
    assert len(other) == 23
    copies = [other.vectors[other.ids.index(name)] for name in ("0.png", "again.png")]
    np.testing.assert_array_equal(*copies)
    for i in range(21):
        np.testing.assert_allclose(
            other.vectors[other.ids.index(f"{20 - i}.png")], whole.vectors[i], atol=1e-5
        )


def test_resumed_views_equal_uninterrupted_ones(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    whole, path = tmp_path / "whole.h5", tmp_path / "part.h5"
    catalog, viewed = list_folder(pictures), backbone.viewed(FIRST)
    extract_embeddings(catalog, viewed, whole, options=REFERENCE)
    stopped = extract_embeddings(catalog, viewed, path, options=REFERENCE, monitor=StopAfter(2))
    assert 0 < stopped.to_do < 21
    extract_embeddings(catalog, viewed, path, options=REFERENCE)
    np.testing.assert_array_equal(read_embeddings(path).vectors, read_embeddings(whole).vectors)


def test_gpu_leaves_views_to_the_cores(backbone: Backbone) -> None:
    on_gpu = replace(backbone, device="cuda", view=FIRST)
    with pytest.raises(UsageError, match="views are made by the cores: choose --decoder fast"):
        choose_execution_config(on_gpu, None, ExecutionOptions(4, 1, "gpu"))


def test_sheet_shows_pictures_beside_their_views(pictures: Path, backbone: Backbone) -> None:
    catalog, seen = list_folder(pictures), backbone.preprocessing
    (pictures / catalog.paths[1]).write_bytes(b"broken")
    sheet = draw_views(catalog, seen, [FIRST, View("catalog-1", 0, 2)])
    assert sheet is not None
    assert sheet.size == (GAP + 3 * (TILE + GAP), HEAD + 5 * (TILE + GAP))
    file = read_picture(pictures, catalog.paths[4])  # the broken one is left out
    made = augment(seen.placed(decoders.decode_picture(file.content)), FIRST, file.sha256)
    left = GAP + TILE + GAP
    tile = sheet.crop((left, HEAD, left + TILE, HEAD + TILE)).resize((32, 32), Image.Resampling.BOX)
    assert np.abs(np.asarray(tile).astype(int) - made).mean() < 8


def test_a_picture_that_a_gpu_was_asked_for_is_decoded_once_for_views_too(
    pictures: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside views the plain file's pictures fall to the cores as well: one decoding for both."""
    wanted: list[str] = []
    own = loading.prepare_picture

    def counted(content: bytes, seen: Any, decoder: str) -> Any:
        wanted.append(decoder)
        return own(content, seen, decoder)

    monkeypatch.setattr(loading, "prepare_picture", counted)
    seen, batches = backbone.preprocessing, np.zeros((2, 1, 1, 32, 32, 3), np.uint8)
    view = View("catalog-1", 0, 1)
    loader = loading.PictureLoader(
        list_folder(pictures),
        [
            loading.Destination(seen, "gpu", batches[0], lambda *_: True),
            loading.Destination(seen, "fast", batches[1], lambda *_: True, view),
        ],
    )
    loaded = loader.load(0, [loading.Place(0, 0, 0), loading.Place(1, 0, 0)])
    assert wanted == ["fast"]
    assert dict(loaded.ways).keys() == {"gpu", "fast"}
    assert len(set(dict(loaded.ways).values())) == 1
    assert (batches[1, 0, 0] == augment(batches[0, 0, 0], view, loaded.sha256)).all()
