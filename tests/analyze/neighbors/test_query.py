"""What is asked about: a row as it stands, a new picture embedded by the very same path."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from analyze.neighbors.query import (
    differing_execution_config,
    query_by_content,
    query_by_id,
    query_by_picture,
    read_queries,
)
from analyze.pictures.picture_folder import PictureFolder
from extract.backbones.kept_backbones import load_from_provenance
from extract.backbones.registry import Backbone, load_backbone
from extract.catalog.catalog import list_folder
from extract.errors import PictureRefused, UsageError, WeightsError
from extract.inference.execution_config import reference_execution_config
from extract.pipeline.extraction import Options, extract_embeddings
from extract.storage.embeddings import EmbeddingSet, Provenance
from extract.storage.embeddings_file import read_embeddings

Embed = Callable[..., EmbeddingSet]


def test_an_id_gives_its_row_and_its_very_vector(embeddings_of: Embed) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 4))
    products = embeddings_of(vectors)
    query = query_by_id(products, "0003.png")
    assert query is not None
    assert (query.text, query.row, query.picture) == ("0003.png", 3, None)
    np.testing.assert_array_equal(query.vector, products.vectors[3])
    assert query_by_id(products, "0003") is None
    assert query_by_id(products, "") is None


def test_a_row_of_zeros_cannot_be_asked_about(embeddings_of: Embed) -> None:
    vectors = np.ones((3, 4))
    vectors[1] = 0
    with pytest.raises(UsageError, match="is all zeros"):
        query_by_id(embeddings_of(vectors), "0001.png")


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(decoder="reference", runtime="eager"),
        Options(decoder="scaled", runtime="eager"),
        Options(decoder="light", runtime="eager"),
        Options(decoder="reference", runtime="torch"),
    ],
    ids=lambda options: f"{options.decoder} {options.runtime}",
)
def test_a_picture_is_embedded_as_the_rows_of_the_file_were(
    pictures: Path, backbone: Backbone, tmp_path: Path, options: Options
) -> None:
    # awkward to embed: turned by EXIF, 16 bits deep, clear in part, with a palette
    turned = Image.Exif()
    turned[0x0112] = 6
    noise = Image.open(pictures / "cups/0.png")
    noise.save(pictures / "cups/turned.jpg", exif=turned)
    deep = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40) * 50
    Image.fromarray(deep).save(pictures / "cups/deep.png")
    clear = noise.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(pictures / "cups/clear.png")
    noise.quantize(8).save(pictures / "cups/palette.gif")
    file = tmp_path / "shop.h5"
    Image.linear_gradient("L").resize((900, 700)).convert("RGB").save(pictures / "cups/large.jpg")
    extract_embeddings(list_folder(pictures), backbone, file, options=options)
    rows = read_embeddings(file)
    assert len(rows) == 26
    ways = rows.provenance.execution_configs
    assert differing_execution_config(rows, backbone, PictureFolder(rows, pictures)) is None
    for row, row_id in enumerate(rows.ids):
        query = query_by_picture(pictures / row_id, backbone, execution_configs=ways)
        np.testing.assert_allclose(query.vector, rows.vectors[row], rtol=1e-5, atol=1e-6)
        assert query.row is None
        assert query.content_sha256 == rows.content_sha256[row].tobytes()


def test_a_picture_known_by_its_bytes_needs_no_backbone(
    pictures: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_embeddings(list_folder(pictures), backbone, tmp_path / "shop.h5")
    rows = read_embeddings(tmp_path / "shop.h5")
    monkeypatch.setattr("extract.backbones.kept_backbones.load_from_provenance", None)
    other = tmp_path / "other name.png"
    other.write_bytes((pictures / "rugs/2.png").read_bytes())
    (query,), notes = read_queries(rows, [str(other)], PictureFolder(rows, pictures))
    row = rows.ids.index("rugs/2.png")
    np.testing.assert_array_equal(query.vector, rows.vectors[row])
    assert (query.row, query.content_sha256) == (None, rows.content_sha256[row].tobytes())
    assert query.picture is not None
    assert query.picture.size == (40, 30)
    assert notes == []
    # the vector of an augmented view, or of several pictures, is none of the picture's own
    view = Provenance({**rows.provenance.identity, "view": {}}, ())
    means = replace(rows, n_pictures=np.full(len(rows), 2))
    for others in (replace(rows, provenance=view), means, replace(rows, content_sha256=None)):
        assert query_by_content(other, others, "") is None
    other.write_bytes(b"")
    with pytest.raises(PictureRefused, match="refused: empty"):
        query_by_content(other, rows, "")


def test_a_picture_may_lie_behind_a_link_and_keeps_the_name_that_was_typed(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (tmp_path / "link.png").symlink_to(pictures / "hats/3.png")
    query = query_by_picture(tmp_path / "link.png", backbone, "./link.png")
    straight = query_by_picture(pictures / "hats/3.png", backbone)
    assert query.text == "./link.png"
    assert straight.text == str(pictures / "hats/3.png")
    np.testing.assert_array_equal(query.vector, straight.vector)
    assert query.picture is not None
    assert query.picture.size == (40, 30)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"no picture", "unidentified"), (None, "not_regular")],
)
def test_a_broken_picture_is_refused_with_its_reason(
    tmp_path: Path, backbone: Backbone, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "two\nlines.png"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(PictureRefused, match=f"refused: {reason}") as caught:
        query_by_picture(path, backbone)
    assert "\n" not in str(caught.value)
    assert "--query" in str(caught.value)


def test_a_cut_off_picture_is_refused(pictures: Path, backbone: Backbone, tmp_path: Path) -> None:
    whole = (pictures / "cups/0.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureRefused, match="is refused: truncated"):
        query_by_picture(tmp_path / "half.png", backbone)


def test_a_picture_without_a_direction_cannot_be_asked_about(
    pictures: Path, backbone: Backbone
) -> None:
    silent = replace(backbone, network=torch.nn.Sequential(torch.nn.Flatten(), _Zeros()))
    with pytest.raises(UsageError, match="all zeros"):
        query_by_picture(pictures / "cups/0.png", silent)


class _Zeros(torch.nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(pixels), 8)


# rows that were computed otherwise


def stored(
    pictures: Path, backbone: Backbone, others: Mapping[str, Any] | None = None
) -> EmbeddingSet:
    """Embed a folder as if on another machine."""
    catalog = list_folder(pictures)
    opened = [Image.open(pictures / path).convert("RGB") for path in catalog.paths]
    here = {**reference_execution_config(backbone), **(others or {})}
    provenance = Provenance(backbone.identity, (here,), {"model": "tiny"})
    return EmbeddingSet(catalog.ids, backbone.embed_pictures(opened), provenance)


def said_of(rows: EmbeddingSet, backbone: Backbone, folder: Path | None) -> str | None:
    return differing_execution_config(rows, backbone, PictureFolder(rows, folder))


def test_nothing_is_said_where_rows_were_computed_as_a_query_is(
    pictures: Path, backbone: Backbone
) -> None:
    for others in ({}, {"batch_size": 64, "threads": 7}):
        assert said_of(stored(pictures, backbone, others), backbone, pictures) is None


def test_another_device_is_said_with_the_worst_cosine_of_rows_computed_again(
    pictures: Path, backbone: Backbone
) -> None:
    for i in range(6):
        shutil.rmtree(pictures / "hats", ignore_errors=True)
        (pictures / "rugs" / f"{i}.png").unlink()
    rows = stored(pictures, backbone, {"device": "cuda", "dtype": "bf16"})
    assert len(rows) == 8
    said = said_of(rows, backbone, pictures)
    assert said is not None
    assert "dtype bf16 (here fp32)" in said
    assert "device cuda (here cpu)" in said
    assert "decoder" not in said
    assert "8 computed again agree to cosine 1.000000" in said
    # turn one row by 60 degrees, and make one longer, which is no other direction
    away = np.zeros(8)
    away[rows.vectors[5].argmin()] = 1
    unit = rows.vectors[5] / np.linalg.norm(rows.vectors[5])
    away -= (away @ unit) * unit
    rows.vectors[5] = unit + np.sqrt(3) * away / np.linalg.norm(away)
    rows.vectors[2] *= 100
    said = said_of(rows, backbone, pictures)
    assert said is not None
    assert "cosine 0.500000" in said


def test_no_more_than_sixteen_rows_are_computed_again(pictures: Path, backbone: Backbone) -> None:
    rows = stored(pictures, backbone, {"device": "cuda"})
    assert len(rows) == 21
    said = said_of(rows, backbone, pictures)
    assert said is not None
    assert "; 16 computed again" in said
    assert said == said_of(rows, backbone, pictures)


def test_rows_of_zeros_are_not_computed_again(pictures: Path, backbone: Backbone) -> None:
    rows = stored(pictures, backbone, {"device": "cuda"})
    rows.vectors[3:] = 0
    said = said_of(rows, backbone, pictures)
    assert said is not None
    assert "3 computed again agree to cosine 1.000000" in said


def test_pictures_that_cannot_be_opened_are_not_computed_again(
    pictures: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.inference.runtimes.is_installed", lambda _: False)
    rows = stored(pictures, backbone, {"runtime": "openvino"})
    said = said_of(rows, backbone, None)
    assert said is not None
    assert "runtime openvino (here eager)" in said
    assert "none could be computed again" in said
    assert "cosine" not in said


# the file's own backbone

NAME = "timm:test_vit"
"""A real model of a few thousand weights, with a class token."""


@pytest.fixture(scope="module")
def vit() -> Backbone:
    return load_backbone(NAME, weights="random", seed=3, pooling="mean", resize="squash")


def provenance_of(backbone: Backbone, /, **changes: Any) -> Provenance:
    return Provenance({**backbone.identity, **changes}, (), {"model": backbone.name})


def test_the_backbone_of_a_file_is_built_again_with_its_seed_pooling_and_geometry(
    vit: Backbone,
) -> None:
    again = load_from_provenance(provenance_of(vit))
    assert again.identity == vit.identity
    assert (again.weights["seed"], again.pooling) == (3, "mean")
    assert again.preprocessing.resize == "squash"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8))
    np.testing.assert_array_equal(again.embed_pictures([noise]), vit.embed_pictures([noise]))


def test_vectors_of_other_weights_pooling_or_geometry_are_refused() -> None:
    resnet = load_backbone("timm:test_resnet", weights="random")
    weights, geometry = resnet.identity["weights"], resnet.identity["geometry"]
    changes: dict[str, dict[str, Any]] = {
        "weights": {"weights": {**weights, "sha256": "0" * 64}},
        "weights of another seed": {"weights": {**weights, "seed": 4}},
        "geometry": {"geometry": {**geometry, "size": 224}},
        "geometry of another kind": {"geometry": {**geometry, "interpolation": "nearest"}},
        "mean": {"mean": [0.0, 0.0, 0.0]},
        "rules": {"rules": {**resnet.identity["rules"], "alpha": "on black"}},
        "backbone": {"backbone": "test_resnet2.random"},
    }
    for what, change in changes.items():
        with pytest.raises(WeightsError, match=f"its {what.split()[0]} differ"):
            load_from_provenance(provenance_of(resnet, **change))


def test_a_pooling_that_the_backbone_has_not_is_refused() -> None:
    resnet = load_backbone("timm:test_resnet", weights="random")
    assert load_from_provenance(provenance_of(resnet)).identity == resnet.identity
    with pytest.raises(UsageError, match="class token"):
        load_from_provenance(provenance_of(resnet, pooling="cls"))


def test_weights_of_a_file_have_to_be_given_and_to_be_the_same(tmp_path: Path) -> None:
    for seed in (1, 2):
        torch.manual_seed(seed)
        import timm

        model = timm.create_model("test_resnet", pretrained=False)
        save_file(dict(model.state_dict()), tmp_path / f"{seed}.safetensors")
    own, other = (tmp_path / f"{seed}.safetensors" for seed in (1, 2))
    backbone = load_backbone("timm:test_resnet", weights=str(own))
    with pytest.raises(WeightsError, match="--weights FILE"):
        load_from_provenance(provenance_of(backbone))
    moved = shutil.copy(own, tmp_path / "moved.safetensors")
    again = load_from_provenance(provenance_of(backbone), weights_file=Path(moved))
    assert again.identity == backbone.identity
    with pytest.raises(WeightsError, match="its weights differ"):
        load_from_provenance(provenance_of(backbone), weights_file=other)


def test_a_path_that_a_file_from_elsewhere_calls_its_weights_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resnet = load_backbone("timm:test_resnet", weights="random")
    secret = tmp_path / "secret.pth"
    secret.write_bytes(b"x")

    def read_tensors(path: Path) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr("extract.backbones.registry.read_tensors", read_tensors)
    weights = {**resnet.identity["weights"], "source": str(secret)}
    with pytest.raises(WeightsError, match="--weights FILE"):
        load_from_provenance(provenance_of(resnet, weights=weights))
