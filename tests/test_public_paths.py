"""Public functions take a path as text, as a Path, and as anything that says its path."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file
from small_catalogs import draw_noise, some_rows

import analyze
import extract
from extract.backbones.registry import Backbone
from extract.catalog.catalog import Level
from extract.storage.embeddings import EmbeddingSet, Provenance


class Spelled(os.PathLike[str]):
    """A path of another library."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __fspath__(self) -> str:
        return self._path


KINDS: dict[str, Callable[[Path], Any]] = {"str": str, "Path": Path, "PathLike": Spelled}
PUBLIC = [
    getattr(package, name)
    for package in (extract, analyze)
    for name in package.__all__
    if callable(getattr(package, name))
]


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_no_public_function_asks_for_a_path_of_one_kind(public: Any) -> None:
    methods = [public]
    if inspect.isclass(public):
        methods = [
            found
            for name, found in inspect.getmembers(public, callable)
            if not name.startswith("_")
        ]
    for method in methods:
        try:
            parameters = inspect.signature(method).parameters
        except ValueError:  # of the language itself
            continue
        asked = {name: str(each.annotation) for name, each in parameters.items()}
        assert not [name for name, kind in asked.items() if "Path" in kind.replace("AnyPath", "")]


@pytest.mark.parametrize("kind", KINDS)
def test_catalogues_are_listed_embedded_read_and_exported_by_any_path(
    kind: str, tmp_path: Path, backbone: Backbone
) -> None:
    spelled = KINDS[kind]
    for i in range(4):
        draw_noise(tmp_path / "shop" / "ab"[i % 2] / f"{i}.png", i)
    draw_noise(tmp_path / "shop" / "cache" / "9.png", 9)
    (tmp_path / "table.csv").write_text("image\na/0.png\n")
    leave_out = [spelled(tmp_path / "shop" / "cache")]
    listed = extract.list_folder(spelled(tmp_path / "shop"), leave_out=leave_out)
    assert listed.ids == ("a/0.png", "a/2.png", "b/1.png", "b/3.png")
    again = extract.list_imagefolder(spelled(tmp_path / "shop"), leave_out=leave_out)
    assert again.ids == listed.ids
    table, shop = spelled(tmp_path / "table.csv"), spelled(tmp_path / "shop")
    one = extract.list_manifest(table, extract.ManifestColumns(), images_dir=shop)
    assert (one.ids, one.images_root) == (("a/0.png",), listed.images_root)
    made = extract.Catalog("x", shop, listed.ids, listed.paths)
    assert made.images_root == tmp_path / "shop"

    file = spelled(tmp_path / "made" / "x.h5")
    assert extract.extract_embeddings(listed, backbone, file).embedded == 4
    vectors = extract.read_embeddings(file)
    assert vectors.ids == listed.ids
    assert extract.export_embeddings(vectors, spelled(tmp_path / "x.npz"), "npz") is not None
    assert np.load(tmp_path / "x.npz")["vectors"].shape == vectors.vectors.shape

    root = spelled(tmp_path)
    for workspace in (extract.Workspace(root), extract.Workspace.find(root)):
        assert workspace.cache == tmp_path / "cache"
        assert workspace.find_file(spelled(Path("table.csv"))) == tmp_path / "table.csv"
        assert workspace.relative(file) == "made/x.h5"


@pytest.mark.parametrize("kind", KINDS)
def test_options_take_any_path(kind: str, tmp_path: Path) -> None:
    spelled = KINDS[kind]
    table = extract.CatalogSource(
        manifest=spelled(tmp_path / "shop.csv"), images_dir=spelled(tmp_path)
    )
    assert (table.name, table.images_dir) == ("shop", tmp_path)
    assert extract.CatalogSource(images=spelled(tmp_path / "photos")).name == "photos"
    wanted = analyze.ExplanationSpec(head=spelled(tmp_path), image=[spelled(tmp_path)])
    assert (wanted.head, wanted.image) == (tmp_path, [tmp_path])
    methods = analyze.ExplanationMethods(evaluate=True, boxes=spelled(tmp_path))
    assert methods.boxes == tmp_path
    head = analyze.train_head(np.eye(6, 9) + np.eye(6, 9, 3), list("ababab"))
    head.save(spelled(tmp_path / "head.json"))
    assert analyze.load_head(spelled(tmp_path / "head.json")).classes_.tolist() == ["a", "b"]
    result = analyze.analyze_embeddings(np.eye(5), n_clusters=2)
    result.save(spelled(tmp_path / "saved"))
    assert (tmp_path / "saved" / "assignments.csv").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_caches_and_weights_lie_at_any_path(kind: str, tmp_path: Path) -> None:
    import timm

    spelled = KINDS[kind]
    ids = tuple("abcdefgh")
    rows = some_rows(ids)
    levels = (Level.from_values("class", list("xyxyxyxy")),)
    vectors = EmbeddingSet(ids, rows.vectors, Provenance({"backbone": "x"}, ()), levels)
    kept = analyze.Execution(
        spelled(tmp_path / "reductions"), spelled(tmp_path / "clusterings"), n_jobs=1
    )
    analyze.compare([vectors], reductions=["l2"], seeds=[0], n_resamples=10, execution=kept)
    assert len(list((tmp_path / "clusterings").glob("*.npy"))) == 1
    analyze.rank([vectors], metric="ari", n_resamples=10, execution=kept)
    assert (tmp_path / "reductions").is_dir()

    model = timm.create_model("test_resnet", num_classes=10)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    made = extract.load_backbone("timm:test_resnet", weights=spelled(tmp_path / "w.safetensors"))
    assert made.weights["source"] == "file"
