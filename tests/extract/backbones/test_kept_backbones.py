"""What is kept of a backbone stands for it, and for nothing else than it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from extract.backbones import kept_backbones, registry
from extract.backbones.exported_model import ExportedModel
from extract.backbones.kept_backbones import (
    _is_requested,
    describe,
    load_from_provenance,
    load_kept,
)
from extract.errors import WeightsDiffer
from extract.files.strict_json import with_check_sum
from extract.images.augmentation import View
from extract.storage.embeddings import Provenance

NAME = "timm:test_resnet"
Loads = list[str]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Count the backbones that are built."""
    built: Loads = []
    load = registry.load_backbone

    def counted(name: str, **how: object) -> registry.Backbone:
        built.append(name)
        return load(name, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "load_backbone", counted)
    return built


def test_a_backbone_is_built_once_and_known_from_then_on(tmp_path: Path, loads: Loads) -> None:
    how = {"weights": "random", "seed": 3}
    first = load_kept(NAME, tmp_path / "kept", **how)
    again = load_kept(NAME, tmp_path / "kept", **how)
    assert loads == [NAME]
    assert again.identity == first.identity
    assert again.provenance.identity_sha256 == first.provenance.identity_sha256
    assert (again.n_dims, again.published) == (first.n_dims, first.published)
    own = again.with_published_preprocessing()
    assert own is not None
    assert own.preprocessing == registry.load_backbone(NAME, **how, resize="model").preprocessing
    del loads[1:]
    # views and moves share the model, which is built when a vector is needed
    moved = again.on("cpu")
    pixels = torch.zeros(1, 3, first.preprocessing.size, first.preprocessing.size)
    np.testing.assert_array_equal(moved.embed(pixels), first.embed(pixels))
    assert moved.model is again.model
    assert loads == [NAME, NAME]


def _touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(folder.glob("*.json"))
    file.write_text(file.read_text().replace("mean", "cls", 1))


def _cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(folder.glob("*.json"))
    file.write_bytes(file.read_bytes()[:100])


def _of_another_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(folder.glob("*.json"))
    known = json.loads(file.read_text())
    known["preprocessing"]["resize"] = "stretch"
    file.write_text(json.dumps(with_check_sum(known)))


def _updated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_backbones, "versions_of", lambda names: dict.fromkeys(names, "9"))


def _elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(folder))


@pytest.mark.parametrize("change", [_touched, _cut, _of_another_size, _updated, _elsewhere])
def test_it_is_built_again_where_what_is_known_may_not_hold(
    tmp_path: Path,
    loads: Loads,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    first = load_kept(NAME, tmp_path, weights="random")
    change(tmp_path, monkeypatch)
    again = load_kept(NAME, tmp_path, weights="random")
    assert loads == [NAME, NAME]
    assert again.identity == first.identity
    load_kept(NAME, tmp_path, weights="random")
    assert len(loads) == 2


def test_other_bytes_in_the_weights_file_are_other_weights(tmp_path: Path, loads: Loads) -> None:
    file = tmp_path / "own.pth"
    identities = []
    for seed in (1, 2):
        model = registry.load_backbone(NAME, weights="random", seed=seed).model
        torch.save(model.state_dict(), file)
        identities.append(load_kept(NAME, tmp_path / "kept", weights=file).identity)
    assert identities[0] != identities[1]
    del loads[:]
    assert load_kept(NAME, tmp_path / "kept", weights=file).identity == identities[1]
    assert load_kept(NAME, tmp_path / "kept", weights="random").identity not in identities
    assert loads == [NAME]


def _own_weights(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True)
    model = registry.load_backbone(NAME, weights="random", seed=seed).model
    torch.save(model.state_dict(), path)
    return path


def test_weights_are_those_that_a_link_and_a_relative_path_lead_to_now(
    tmp_path: Path, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [_own_weights(tmp_path / f"v{seed}" / "w.pth", seed) for seed in (1, 2)]
    direct = [registry.load_backbone(NAME, weights=file).identity for file in files]
    linked, relative = [], []
    for file in files:
        (tmp_path / "latest.pth").unlink(missing_ok=True)
        (tmp_path / "latest.pth").symlink_to(file)
        linked.append(load_kept(NAME, tmp_path / "kept", weights=tmp_path / "latest.pth").identity)
        monkeypatch.chdir(file.parent)
        relative.append(load_kept(NAME, tmp_path / "kept", weights="w.pth").identity)
    assert linked == relative == direct
    del loads[:]
    load_kept(NAME, tmp_path / "kept", weights="w.pth")
    monkeypatch.chdir(files[0].parent)
    load_kept(NAME, tmp_path / "kept", weights="w.pth")
    assert loads == []


def test_an_export_stands_for_a_given_file_only_while_that_has_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = (_own_weights(tmp_path / f"v{seed}" / "w.pth", seed) for seed in (1, 2))
    made = load_kept(NAME, tmp_path / "kept", weights=own)
    assert made.kept is not None
    export = ExportedModel(tmp_path / "any.exported.zip", describe(made, made.kept.how))
    export.path.write_text("its model")
    monkeypatch.setattr(kept_backbones, "exported_models", lambda folder: [export])
    provenance = Provenance(made.identity, (), {"model": NAME})
    own = own.rename(tmp_path / "moved.pth")
    found = load_from_provenance(provenance, weights_file=own, kept_in=tmp_path)
    assert found.exported is export
    assert found.model is not None  # of the file that is given, not of the one it was made of
    with pytest.raises(WeightsDiffer, match="gives other vectors"):
        load_from_provenance(provenance, weights_file=other, kept_in=tmp_path)
    found = load_from_provenance(provenance, weights_file=own, kept_in=tmp_path)
    torch.save(torch.load(other), own)
    with pytest.raises(WeightsDiffer, match="not the one exported"):
        _ = found.model
    assert export.path.exists()


def _lay_out_snapshot(repo: Path, commit: str, seed: int, mean: float) -> None:
    """Write a commit of a repository as the hub's cache keeps it, and let its branch be there."""
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir(exist_ok=True)
    (repo / "refs" / "main").write_text(commit)
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(**sizes, num_hidden_layers=1, image_size=32)
    transformers.ViTModel(config).save_pretrained(snapshot)
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size, image_mean=[mean] * 3).save_pretrained(snapshot)


def test_weights_and_settings_are_those_that_the_hubs_cache_has_now(
    tmp_path: Path, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshots = {"a" * 40: (1, 0.5), "b" * 40: (2, 0.5), "c" * 40: (2, 0.4)}
    found, exports, requested = [], [], []
    for commit, (seed, mean) in snapshots.items():
        _lay_out_snapshot(tmp_path / "hub" / "models--me--tiny", commit, seed, mean)
        loaded = load_kept("hf:me/tiny", tmp_path / "kept")
        found.append(loaded.identity)
        assert loaded.kept is not None
        how = loaded.kept.how
        exports.append(ExportedModel(tmp_path, describe(loaded, how)))
        requested.append([_is_requested(export, "hf:me/tiny", how) for export in exports])
    assert requested == [[True], [False, True], [False, False, True]]
    one, other, darker = found
    assert one["weights"]["sha256"] != other["weights"]["sha256"] == darker["weights"]["sha256"]
    assert (other["mean"], darker["mean"]) == ([0.5] * 3, [0.4] * 3)
    del loads[:]
    assert load_kept("hf:me/tiny", tmp_path / "kept").identity == darker
    assert loads == []
    shutil.rmtree(tmp_path / "hub")  # where there is no cache, an export stands for itself
    assert _is_requested(exports[0], "hf:me/tiny", how)


def test_what_turns_out_otherwise_when_built_is_refused_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_kept(NAME, tmp_path, weights="random")
    other = registry.load_backbone(NAME, weights="random", seed=7)
    monkeypatch.setattr(registry, "load_backbone", lambda name, **how: other)
    known = load_kept(NAME, tmp_path, weights="random")
    with pytest.raises(WeightsDiffer, match="type the command again"):
        _ = known.model
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path, loads: Loads) -> None:
    (tmp_path / "file").write_text("")
    for _ in range(2):
        load_kept(NAME, tmp_path / "file" / "kept", weights="random")
    assert loads == [NAME, NAME]


def test_the_backbone_of_a_file_is_known_too_with_its_view(
    tmp_path: Path, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View("catalog-1", 5, 1)
    made = load_kept(NAME, tmp_path, weights="random", resize="squash").viewed(view)
    provenance = made.provenance
    provenance = type(provenance)(provenance.identity, (), {"model": NAME})
    with monkeypatch.context() as patch:  # not even timm is looked into
        patch.setattr(kept_backbones, "find_model", None)
        again = load_from_provenance(provenance, kept_in=tmp_path)
    assert again.identity == made.identity
    assert again.view == view
    assert loads == [NAME]
