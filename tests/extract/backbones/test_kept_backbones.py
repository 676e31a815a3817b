"""What is kept of a backbone stands for it, and for nothing else than it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from extract.backbones import kept_backbones, registry
from extract.backbones.kept_backbones import load_from_provenance, load_kept
from extract.errors import WeightsDiffer
from extract.files.strict_json import with_check_sum
from extract.images.augmentation import View

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
