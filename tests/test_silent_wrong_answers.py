"""Answers that look right and are not, as other tools have given them: none of them here."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from small_catalogs import draw_noise, tiny_backbone

from analyze.clustering.cache import ClusteringCache
from analyze.clustering.clustering import Clustering, cluster
from analyze.reduction.cache import ReductionCache
from analyze.reduction.reduction import reduce
from extract.backbones.registry import Backbone, load_backbone
from extract.backbones.transformers_models import TransformersModel
from extract.backbones.weights import Checkpoint, Headless
from extract.catalog.catalog import list_folder
from extract.errors import UsageError, WeightsError
from extract.images.decoding import decode_picture
from extract.pipeline.extraction import Options, Report, extract_embeddings
from extract.storage.embeddings import EmbeddingSet
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.exchange.export import export_embeddings
from extract.transforms.preprocessing import Preprocessing
from extract.workspace import Workspace

pytestmark = pytest.mark.slow

FOUR = Options(batch_size=4, threads=1, workers=2, decoder="reference", runtime="eager")
SEES_64 = Preprocessing(64, "crop", 0.875, "bicubic", (0.5,) * 3, (0.5,) * 3)


def extract(folder: Path, backbone: Backbone, path: Path, **changed: Any) -> Report:
    options = replace(FOUR, **changed)
    return extract_embeddings(list_folder(folder), backbone, path, options=options)


def embedded(folder: Path, backbone: Backbone, path: Path) -> EmbeddingSet:
    return read_embeddings(extract(folder, backbone, path).file)


def noise(n: int, size: int) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def vectors_of(model: torch.nn.Module, pixels: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        vectors: np.ndarray = model(pixels).numpy()
    return vectors


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    def unit(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float64)
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    found: np.ndarray = unit(first) @ unit(second).T
    return found


# Tiny models of transformers: enough stages and blocks to have every part of the large ones.
VIT_PARTS = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 64,
    "patch_size": 16,
}
STAGES = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
TINY: dict[str, dict[str, Any]] = {
    "vit": {"model_type": "vit", **VIT_PARTS},
    "vit_mae": {"model_type": "vit_mae", **VIT_PARTS},
    "dinov2_with_registers": {
        "model_type": "dinov2_with_registers",
        **VIT_PARTS,
        "num_register_tokens": 3,
    },
    "convnext": {"model_type": "convnext", **STAGES},
    "resnet": {"model_type": "resnet", **STAGES, "embedding_size": 8, "layer_type": "basic"},
    "segformer": {
        "model_type": "segformer",
        "hidden_sizes": [8, 8, 16, 24],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
    },
    "swin": {
        "model_type": "swin",
        "embed_dim": 12,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "image_size": 64,
        "window_size": 4,
    },
    "cvt": {
        "model_type": "cvt",
        "embed_dim": [8, 8, 16],
        "depth": [1, 2, 3],
        "num_heads": [1, 1, 2],
        "num_labels": 5,
    },
}


def tiny(
    kind: str, pooling: str = "auto", checkpoint: Checkpoint | None = None, seed: int = 0
) -> Headless:
    return TransformersModel(f"acme/{kind}", TINY[kind], SEES_64).headless(
        seed, checkpoint, pooling
    )


# 1. Stale cache


def one_folder(
    folder: Path, embeddings: EmbeddingSet, reduction: str, n_clusters: int, seed: int
) -> tuple[np.ndarray, Clustering, bool]:
    """Reduce and cluster by way of the caches, as a command does; say whether it was kept."""
    reduced = ReductionCache(folder)(embeddings, reduction, seed, None)
    clusterings = ClusteringCache(folder)
    found = clusterings.read(embeddings, reduction, n_clusters, seed)
    if found is not None:
        return reduced.coordinates, found, True
    found = cluster(reduced, n_clusters, seed)
    clusterings.write(embeddings, reduction, found)
    return reduced.coordinates, found, False


def test_stale_cache_another_model_number_of_clusters_or_seed_is_another_answer(
    pictures: Path, tmp_path: Path
) -> None:
    sets = [
        embedded(pictures, tiny_backbone(seed, f"model{seed}"), tmp_path / f"{seed}.h5")
        for seed in (0, 1)
    ]
    assert sets[0].ids == sets[1].ids
    # of the first two it is the clustering's seed alone that counts
    asked = list(itertools.product(sets, ("none", "pca:0.9", "l2,pca:2"), (3, 4), (0, 1)))
    answers = set()
    for again in (False, True):
        for embeddings, reduction, n_clusters, seed in asked:
            got, clustering, kept = one_folder(
                tmp_path / "cache", embeddings, reduction, n_clusters, seed
            )
            fresh = reduce(embeddings, reduction, seed)
            assert got.tobytes() == fresh.coordinates.tobytes()
            expected = cluster(fresh, n_clusters, seed)
            np.testing.assert_array_equal(clustering.assignments, expected.assignments)
            assert (clustering.n_clusters, clustering.seed) == (n_clusters, seed)
            assert kept == again  # the second time it is the cache that is put to the test
            answers.add(
                (
                    embeddings.provenance.model,
                    reduction,
                    n_clusters,
                    clustering.assignments.tobytes(),
                )
            )
    assert len(answers) > len(asked) / 2  # seeds do differ: they would be told apart


def test_stale_cache_a_changed_picture_is_another_answer(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    folder, path = tmp_path / "cache", tmp_path / "x.h5"
    before, *_ = one_folder(folder, embedded(pictures, backbone, path), "pca:3", 3, 0)
    draw_noise(pictures / "cups" / "2.png", 999)
    embeddings = embedded(pictures, backbone, path)
    after, _, kept = one_folder(folder, embeddings, "pca:3", 3, 0)
    assert not kept
    assert after.tobytes() == reduce(embeddings, "pca:3").coordinates.tobytes()
    assert before.tobytes() != after.tobytes()


# 2. Wrong row


def test_wrong_row_every_good_row_is_its_own_pictures_and_a_broken_one_has_none(
    pictures: Path, tmp_path: Path
) -> None:
    backbone = load_backbone("timm:test_resnet", weights="random")
    whole = (pictures / "cups" / "2.png").read_bytes()
    broken = {
        "cups/0.png": b"not a picture",
        "cups/3.png": b"",
        "hats/1.png": whole[: len(whole) // 2],
        "hats/2.png": whole[:40],
        "rugs/6.png": b"\xff\xd8\xff\xe0",
    }
    for row_id, content in broken.items():
        (pictures / row_id).write_bytes(content)
    found = embedded(pictures, backbone, tmp_path / "x.h5")
    catalog = list_folder(pictures)
    assert found.ids == tuple(row_id for row_id in catalog.ids if row_id not in broken)
    own = np.concatenate(
        [
            backbone.embed_pictures([decode_picture((pictures / row_id).read_bytes())])
            for row_id in found.ids
        ]
    )
    likeness = cosines(found.vectors, own)
    assert np.diag(likeness).min() >= 0.999999
    np.fill_diagonal(likeness, -1)
    assert likeness.max() < 0.999999  # no other picture's vector would have passed
    table = read_table(tmp_path / "x.h5")
    for row_id in broken:
        assert np.isnan(table.rows.vectors[table.ids.index(row_id)]).all()
    assert sum(found.left_out.values()) == len(broken)


# 3. Zero rows


def test_zero_rows_what_is_refused_or_unfinished_is_nan_in_the_file_and_left_out_when_read(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (pictures / "cups" / "1.png").write_bytes(b"broken")
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path, limit=8)
    rows = read_table(path).rows
    nan = np.isnan(rows.vectors)
    assert nan.all(axis=1).tolist() == [i == 1 or i >= 8 for i in range(21)]
    assert not nan[rows.status == 1].any()
    assert not (np.asarray(rows.vectors) == 0).all(axis=1).any()
    found = read_embeddings(path)
    assert len(found) == 7
    assert found.left_out == {"to_do": 13, "unidentified": 1}
    export_embeddings(found, tmp_path / "x.npz", "npz")
    with np.load(tmp_path / "x.npz") as exported:
        assert [len(v) for v in exported.values() if v.shape and v.dtype == np.float32] == [7]


def test_zero_rows_a_picture_that_breaks_loses_the_vector_it_had(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path)
    (pictures / "hats" / "4.png").write_bytes(b"broken")
    assert extract(pictures, backbone, path).refused == {"unidentified": 1}
    table = read_table(path)
    assert np.isnan(table.rows.vectors[table.ids.index("hats/4.png")]).all()
    assert "hats/4.png" not in read_embeddings(path).ids


class SilentOnBlack:
    """A backbone that gives no finite numbers for a black picture."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)

    def model(self, pixels: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self._backbone.model(pixels)
        vectors[(pixels == pixels.min()).all(dim=(1, 2, 3)), 0] = torch.nan
        return vectors


def test_zero_rows_a_vector_that_failed_takes_no_other_of_its_batch_with_it(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    whole = embedded(pictures, backbone, tmp_path / "whole.h5")
    Image.new("RGB", (40, 30)).save(pictures / "cups" / "1.png")
    report = extract(pictures, SilentOnBlack(backbone), tmp_path / "x.h5")  # type: ignore[arg-type]
    assert report.refused == {"not_finite": 1}
    assert np.isnan(read_table(report.file).rows.vectors[1]).all()
    found = read_embeddings(report.file)
    assert found.left_out == {"not_finite": 1}
    kept = [whole.ids.index(row_id) for row_id in found.ids]
    assert found.vectors.tobytes() == whole.vectors[kept].tobytes()


# 4. Random weights, train mode


def test_random_weights_a_file_gives_the_same_vectors_whatever_the_seed(tmp_path: Path) -> None:
    full = timm.create_model("test_resnet", pretrained=False).eval()
    torch.save(full.state_dict(), tmp_path / "w.pth")
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        backbone = load_backbone("timm:test_resnet", weights=str(tmp_path / "w.pth"), seed=seed)
        found.append(backbone.embed(noise(2, 160)))
    np.testing.assert_array_equal(*found)
    expected = vectors_of(full.reset_classifier(0) or full, noise(2, 160))
    np.testing.assert_array_equal(found[0], expected)


def test_random_weights_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights file .*none\.pth"):
        load_backbone("timm:test_resnet", weights=str(tmp_path / "none.pth"))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_random_weights_a_tensor_that_timms_checkpoint_lacks_is_an_error(
    name: str, tmp_path: Path
) -> None:
    model = timm.create_model(name, pretrained=False)
    tensors = model.state_dict()
    model.reset_classifier(0)  # what the vector does not pass through may be lacking
    needed = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    for key in needed[:: len(needed) // 6]:
        torch.save({k: v for k, v in tensors.items() if k != key}, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match=f"lacks {key}"):
            load_backbone(f"timm:{name}", weights=str(tmp_path / "w.pth"))


FULL = {
    "vit": transformers.ViTModel,
    "convnext": transformers.ConvNextModel,
    "resnet": transformers.ResNetModel,
    "cvt": transformers.CvtForImageClassification,
}


def full_model(kind: str) -> Any:
    """A whole model of transformers whose weights, and running averages, no seed of ours draws."""
    torch.manual_seed(1234)
    config = transformers.AutoConfig.for_model(**TINY[kind])
    model = FULL[kind](config).eval()
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.add_(torch.rand(tensor.shape) / 10)
    return model


@pytest.mark.parametrize("kind", FULL)
def test_random_weights_no_tensor_that_a_checkpoint_lacks_is_made_up(kind: str) -> None:
    """One of each kind left out in turn: refused, or the vectors are those of what is there."""
    tensors = full_model(kind).state_dict()
    pixels = noise(2, 64)
    whole = {
        pooling: vectors_of(tiny(kind, pooling, Checkpoint(tensors, "file")).model, pixels)
        for pooling in (("auto", "cls") if kind == "vit" else ("auto",))
    }
    kinds = {re.sub(r"\d+", "N", key): key for key in tensors}  # layers are alike
    refused = 0
    for key in kinds.values():
        lacking = Checkpoint({k: v for k, v in tensors.items() if k != key}, "file")
        try:
            found = tiny(kind, "auto", lacking, seed=len(key))
        except WeightsError:
            refused += 1
            continue
        assert key.startswith(("pooler.", "classifier.")) or key.endswith("num_batches_tracked")
        expected = whole[found.pooling if found.pooling == "cls" and kind == "vit" else "auto"]
        np.testing.assert_array_equal(vectors_of(found.model, pixels), expected)
    assert refused > len(kinds) / 2


def test_random_weights_an_absent_pooler_gives_the_class_token() -> None:
    tensors = {k: v for k, v in full_model("vit").state_dict().items() if "pooler" not in k}
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        headless = tiny("vit", "auto", Checkpoint(tensors, "file"), seed=seed)
        assert headless.pooling == "cls"
        found.append(vectors_of(headless.model, noise(2, 64)))
    np.testing.assert_array_equal(*found)
    with torch.inference_mode():
        expected = full_model("vit")(noise(2, 64)).last_hidden_state[:, 0].numpy()
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in TINY if kind != "vit_mae"])
def test_random_weights_a_seed_gives_one_vector_whenever_it_is_asked(kind: str) -> None:
    pixels = noise(2, 64)
    models = [tiny(kind, seed=7).model.eval(), tiny(kind, seed=7).model.eval()]
    found = [vectors_of(model, pixels) for model in (*models, models[0])]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(vectors_of(tiny(kind, seed=8).model.eval(), pixels) - found[0]).max() > 1e-4


def test_a_model_that_gives_another_vector_each_time_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A masked autoencoder hides three quarters of the picture, others each time."""
    model = TransformersModel("acme/x", TINY["vit_mae"], SEES_64)
    monkeypatch.setattr("extract.backbones.registry.TransformersModel", lambda _repo: model)
    with pytest.raises(UsageError, match="another vector each time"):
        load_backbone("hf:acme/x", weights="random")


def loaded_with_dropout(kind: str, pooling: str, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """Load a backbone that would drop half of its activations if it were training."""
    if kind in TINY:
        dropping = {
            "vit": {"hidden_dropout_prob": 0.5},
            "cvt": {"drop_rate": [0.5, 0.5, 0.5]},
        }
        model = TransformersModel("acme/x", {**TINY[kind], **dropping[kind]}, SEES_64)
        monkeypatch.setattr("extract.backbones.registry.TransformersModel", lambda _repo: model)
        return load_backbone("hf:acme/x", weights="random", pooling=pooling)
    built = partial(timm.create_model, drop_path_rate=0.5)
    monkeypatch.setattr(timm, "create_model", built)
    return load_backbone(f"timm:{kind}", weights="random", pooling=pooling)


@pytest.mark.parametrize("pooling", ["auto", "mean"])
@pytest.mark.parametrize("kind", ["test_efficientnet", "test_vit", "vit", "cvt"])
def test_train_mode_nothing_is_dropped_and_no_statistics_move(
    kind: str, pooling: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = loaded_with_dropout(kind, pooling, monkeypatch)
    assert not any(module.training for module in backbone.model.modules())
    before = {k: v.clone() for k, v in backbone.model.state_dict().items()}
    first = embedded(pictures, backbone, tmp_path / "1.h5").vectors
    second = embedded(pictures, backbone, tmp_path / "2.h5").vectors
    np.testing.assert_array_equal(first, second)
    after = backbone.model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert not any(p.requires_grad for p in backbone.model.parameters())
    # the check would find it: in training mode the same model gives other vectors
    pixels = noise(4, backbone.preprocessing.size)
    inert = backbone.embed(pixels)
    backbone.model.train()
    assert np.abs(backbone.embed(pixels) - inert).max() > 1e-6
    moved = any(not torch.equal(before[k], v) for k, v in backbone.model.state_dict().items())
    assert moved == any("running_mean" in name for name in before)


# 5. Wrong pooling for convolutional nets


def tiny_timm(name: str, pooling: str, monkeypatch: pytest.MonkeyPatch, **built: Any) -> Backbone:
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, **built))
    return load_backbone(f"timm:{name}", weights="random", pooling=pooling, resize="model")


TINY_SWIN = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}


@pytest.mark.parametrize(
    ("name", "built", "axis", "channels", "height"),
    [
        ("test_resnet", {}, 1, 96, 5),
        ("test_convnext", {}, 1, 64, 5),
        ("test_efficientnet", {}, 1, 256, 5),
        ("test_mambaout", {}, 3, 64, 5),
        ("swin_tiny_patch4_window7_224", TINY_SWIN, 3, 64, 7),
    ],
)
def test_wrong_pooling_timms_maps_are_averaged_over_height_and_width_alone(
    name: str,
    built: dict[str, Any],
    axis: int,
    channels: int,
    height: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = tiny_timm(name, "mean", monkeypatch, **built)
    pixels = noise(2, backbone.preprocessing.size)
    with torch.inference_mode():
        seen = backbone.model.model.forward_features(pixels).numpy()
    places = [i for i in (1, 2, 3) if i != axis]
    assert [seen.shape[i] for i in (axis, *places)] == [channels, height, height]
    by_hand = np.stack(
        [
            np.take(seen, channel, axis).reshape(2, -1).astype(np.float64).mean(axis=1)
            for channel in range(channels)
        ],
        axis=1,
    )
    found = backbone.embed(pixels)
    assert found.shape == (2, channels) == (2, backbone.n_dims)
    np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["auto", "mean"])
@pytest.mark.parametrize("kind", ["convnext", "resnet", "segformer"])
def test_wrong_pooling_maps_of_transformers_give_a_number_a_channel(
    kind: str, pooling: str
) -> None:
    found = tiny(kind, pooling).model.eval()
    with torch.inference_mode():
        seen = found.model(pixel_values=noise(2, 64))
    last = seen.last_hidden_state.double()
    assert last.shape == (2, 24, 2, 2)
    by_hand = torch.stack([last[:, c].flatten(1).sum(dim=1) / 4 for c in range(24)], dim=1)
    pooler = getattr(seen, "pooler_output", None)
    if pooling == "auto" and pooler is not None:
        by_hand = pooler.flatten(1)
    np.testing.assert_allclose(vectors_of(found, noise(2, 64)), by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "n_prefix", "n_tokens"),
    [("vit", 1, 17), ("dinov2_with_registers", 4, 20), ("swin", 0, 64)],
)
def test_wrong_pooling_only_tokens_that_stand_for_places_are_averaged(
    kind: str, n_prefix: int, n_tokens: int
) -> None:
    found = tiny(kind, "mean").model.eval()
    with torch.inference_mode():
        tokens = found.model(pixel_values=noise(2, 64)).last_hidden_state
    assert tokens.shape[1] == n_tokens
    by_hand = tokens[:, n_prefix:].double().sum(dim=1) / (n_tokens - n_prefix)
    np.testing.assert_allclose(vectors_of(found, noise(2, 64)), by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_mambaout", "test_vit"])
def test_wrong_pooling_the_head_put_back_on_timms_vector_gives_the_logits(
    name: str, tmp_path: Path
) -> None:
    full = timm.create_model(name, pretrained=False, num_classes=7).eval()
    torch.save(full.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone(f"timm:{name}", weights=str(tmp_path / "w.pth"))
    vectors = torch.from_numpy(backbone.embed(noise(2, 160)))
    logits = vectors_of(full, noise(2, 160))
    assert np.abs(logits).max() > 1e-3
    np.testing.assert_allclose(
        vectors_of(full.get_classifier(), vectors), logits, rtol=1e-4, atol=1e-6
    )


# 6. CvT has no pooler_output


def test_cvt_the_head_put_back_on_the_vector_gives_the_logits() -> None:
    full = full_model("cvt")
    headless = tiny("cvt", "auto", Checkpoint(full.state_dict(), "file"))
    vectors = vectors_of(headless.model.eval(), noise(2, 64))
    assert (headless.pooling, vectors.shape) == ("cls", (2, 16))
    with torch.inference_mode():
        expected = full(noise(2, 64)).logits.numpy()
        found = full.classifier(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_cvt_the_mean_is_over_the_places_of_its_last_map() -> None:
    full = full_model("cvt")
    headless = tiny("cvt", "mean", Checkpoint(full.state_dict(), "file"))
    with torch.inference_mode():
        last = full.cvt(noise(2, 64)).last_hidden_state
        assert last.shape[:2] == (2, 16)
        columns = [full.layernorm(last[:, :, i, j]) for i in range(4) for j in range(4)]
        expected = (torch.stack(columns).sum(dim=0) / 16).numpy()
    found = vectors_of(headless.model.eval(), noise(2, 64))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# 7. Transparent ground

SHAPE = np.zeros((48, 64), bool)
SHAPE[10:40, 20:50] = True
COLORS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
OBJECT = np.asarray(Image.fromarray(COLORS).resize((64, 48), Image.Resampling.NEAREST))
HIDDEN = {"black": (0, 0, 0), "white": (255, 255, 255), "pink": (255, 20, 147)}


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def cut_out(hidden: str, alpha: int = 0) -> np.ndarray:
    """The object, opaque, on a ground of a color that its alpha hides, more or less."""
    colors = np.where(SHAPE[..., None], OBJECT, np.uint8(HIDDEN[hidden]))
    return np.dstack([colors, np.where(SHAPE, 255, alpha).astype(np.uint8)])


def palette_with(hidden: str) -> Image.Image:
    """Index 0 is transparent and has the hidden color; the object is of 1 to 4."""
    index = np.where(SHAPE, 1 + (np.arange(64) // 8 % 4)[None], 0).astype(np.uint8)
    picture = Image.fromarray(index, "P")
    picture.putpalette([*HIDDEN[hidden], 200, 30, 30, 30, 200, 30, 30, 30, 200, 90, 90, 10])
    return picture


def gray_with(hidden: str, dtype: Any = np.uint8) -> np.ndarray:
    """A ground of one gray that no part of the object has."""
    scale = 257 if dtype is np.uint16 else 1
    gray = {"black": 0, "white": 255, "pink": 80}[hidden] * scale
    values = (100 + OBJECT[..., 0] // 4).astype(dtype) * scale
    return np.where(SHAPE, values, dtype(gray))


TRANSPARENT: dict[str, Callable[[str], bytes]] = {
    "PNG": lambda hidden: saved(Image.fromarray(cut_out(hidden)), "PNG"),
    "WebP": lambda hidden: saved(
        Image.fromarray(cut_out(hidden)), "WEBP", lossless=True, exact=True
    ),
    "TIFF": lambda hidden: saved(Image.fromarray(cut_out(hidden)), "TIFF"),
    "gray PNG with alpha": lambda hidden: saved(
        Image.fromarray(np.dstack([gray_with(hidden), cut_out(hidden)[..., 3]]), "LA"), "PNG"
    ),
    "palette PNG": lambda hidden: saved(palette_with(hidden), "PNG", transparency=0),
    "palette PNG, alpha by entry": lambda hidden: saved(
        palette_with(hidden), "PNG", transparency=bytes([0, 255, 255, 255, 255])
    ),
    "GIF": lambda hidden: saved(palette_with(hidden), "GIF", transparency=0),
    "PNG, one color transparent": lambda hidden: saved(
        Image.fromarray(np.where(SHAPE[..., None], OBJECT | 1, np.uint8(HIDDEN[hidden]) & 254)),
        "PNG",
        transparency=tuple(c & 254 for c in HIDDEN[hidden]),
    ),
    "gray PNG, one gray transparent": lambda hidden: saved(
        Image.fromarray(gray_with(hidden)), "PNG", transparency=int(gray_with(hidden)[0, 0])
    ),
    "16 bit gray PNG, one gray transparent": lambda hidden: saved(
        Image.fromarray(gray_with(hidden, np.uint16)),
        "PNG",
        transparency=int(gray_with(hidden, np.uint16)[0, 0]),
    ),
}


def shop_of(folder: Path, contents: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.png").write_bytes(content)  # content decides the format
    return folder


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparent_ground_the_color_under_it_does_not_change_the_vector(
    kind: str, backbone: Backbone, tmp_path: Path
) -> None:
    contents = {hidden: TRANSPARENT[kind](hidden) for hidden in HIDDEN}
    assert len(set(contents.values())) == len(HIDDEN)
    plain = Image.open(io.BytesIO(contents["pink"])).convert("RGB")
    if kind.startswith("16 bit"):  # Pillow would cut its values off
        plain = Image.fromarray(gray_with("pink")).convert("RGB")
    on_white = np.where(SHAPE[..., None], np.asarray(plain), np.uint8(255))
    np.testing.assert_array_equal(np.asarray(decode_picture(contents["pink"])), on_white)
    contents["on white"] = saved(Image.fromarray(on_white), "PNG")
    found = embedded(shop_of(tmp_path / "shop", contents), backbone, tmp_path / "x.h5").vectors
    assert len(found) == 4
    for vector in found[1:]:
        np.testing.assert_array_equal(vector, found[0])


def test_transparent_ground_half_transparent_is_half_white(
    backbone: Backbone, tmp_path: Path
) -> None:
    picture = cut_out("pink", alpha=102)
    alpha = picture[..., 3:] / 255
    by_hand = picture[..., :3] * alpha + 255 * (1 - alpha)
    content = saved(Image.fromarray(picture), "PNG")
    assert np.abs(np.asarray(decode_picture(content)) - by_hand).max() <= 1
    contents = {
        "cut out": content,
        "on white": saved(Image.fromarray(by_hand.round().astype(np.uint8)), "PNG"),
        "plain": saved(Image.fromarray(picture[..., :3].copy()), "PNG"),
    }
    found = embedded(shop_of(tmp_path / "shop", contents), backbone, tmp_path / "x.h5")
    first, white, plain = (found.vectors[found.ids.index(f"{name}.png")] for name in contents)
    assert np.abs(first - white).max() < 0.01 < np.abs(first - plain).max()


# 8. Aspect


@pytest.fixture(scope="module")
def geometries() -> dict[str, Backbone]:
    return {
        resize: load_backbone("timm:test_resnet", weights="random", resize=resize)
        for resize in ("auto", "model", "crop", "squash", "pad")
    }


@pytest.fixture(scope="module")
def of_the_whole(geometries: dict[str, Backbone]) -> dict[str, Backbone]:
    """The three geometries with nothing cut off a square: only the aspect tells them apart."""
    crop = geometries["crop"]
    whole = replace(crop, preprocessing=replace(crop.preprocessing, crop_pct=1.0))
    return {"crop": whole, "squash": geometries["squash"], "pad": geometries["pad"]}


def test_aspect_an_oblong_picture_has_another_vector_in_each_geometry(
    geometries: dict[str, Backbone], of_the_whole: dict[str, Backbone], tmp_path: Path
) -> None:
    draw_noise(tmp_path / "shop" / "wide.png", 1, (120, 40))
    draw_noise(tmp_path / "shop" / "high.png", 2, (40, 120))
    for i, backbones in enumerate((geometries, of_the_whole)):
        found = {
            resize: embedded(tmp_path / "shop", backbone, tmp_path / f"{resize}{i}.h5").vectors
            for resize, backbone in backbones.items()
        }
        for one, other in itertools.combinations(("crop", "squash", "pad"), 2):
            moved = np.linalg.norm(found[one] - found[other], axis=1)
            assert (moved > 1e-3 * np.linalg.norm(found[one], axis=1)).all(), (one, other)
        np.testing.assert_array_equal(found.get("model", found["crop"]), found["crop"])


def test_aspect_only_a_crop_is_blind_to_what_lies_beyond_the_middle(
    geometries: dict[str, Backbone],
) -> None:
    one = np.random.default_rng(0).integers(0, 256, (40, 120, 3), dtype=np.uint8)
    other = one.copy()
    other[:, :30] = other[:, 90:] = 0
    for resize, backbone in geometries.items():
        first, second = (backbone.embed_pictures([Image.fromarray(x)]) for x in (one, other))
        assert np.array_equal(first, second) == (resize in ("model", "crop"))


@pytest.mark.parametrize("side", [100, 160, 300])
def test_aspect_a_square_picture_is_seen_alike_where_nothing_is_cut_off(
    side: int, of_the_whole: dict[str, Backbone], tmp_path: Path
) -> None:
    draw_noise(tmp_path / "shop" / "square.png", 1, (side, side))
    found = {
        resize: embedded(tmp_path / "shop", backbone, tmp_path / f"{resize}.h5").vectors
        for resize, backbone in of_the_whole.items()
    }
    np.testing.assert_array_equal(found["squash"], found["pad"])
    np.testing.assert_array_equal(found["squash"], found["crop"])


def test_aspect_each_geometry_has_a_file_of_its_own_and_says_which(
    geometries: dict[str, Backbone], tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path)
    identities = {r: backbone.identity for r, backbone in geometries.items()}
    files = {
        resize: workspace.embeddings_file("shop", b.name, b.provenance.short_identity)
        for resize, b in geometries.items()
    }
    assert len({files[r] for r in ("crop", "squash", "pad")}) == 3
    assert files["model"] == files["crop"]
    assert identities["model"] == identities["crop"]
    assert identities["auto"]["geometry"] == identities["pad"]["geometry"] | {"size": 168}
    for resize in ("crop", "squash", "pad"):
        geometry = identities[resize].pop("geometry")
        assert geometry["resize"] == resize
    assert identities["crop"] == identities["squash"] == identities["pad"]


def test_aspect_a_geometry_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="choose auto, model, crop, squash, pad"):
        load_backbone("timm:test_resnet", weights="random", resize="stretch")
