"""Backbones that were built here before: what is known of one, without building it again.

Importing torch and timm and building a model takes seconds, and what it gives is always the same:
the hash of the weights, the width of the vector. So that is kept in the cache, and holds while the
weights' file, the settings read with it and the libraries are those it was made with. Which file
that is now is found each time: a link, a relative path or a hub's branch can lead to another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import extract
from extract.backbones import registry
from extract.backbones.exported_model import (
    FORMAT,
    LIBRARIES,
    UNREADABLE,
    ExportedModel,
    read_exported,
    sha256_of_file,
)
from extract.backbones.exported_model import SUFFIX as EXPORTED
from extract.backbones.hub import cached_on_hub
from extract.backbones.registry import (
    BACKBONES,
    TUNED,
    Backbone,
    DeferredModel,
    Kept,
    find_model,
    find_weights_file,
)
from extract.backbones.transformers_models import CONFIG
from extract.errors import UsageError, WeightsDiffer, WeightsError
from extract.files.durability import written_whole
from extract.files.results import write_json
from extract.files.strict_json import read_json, with_check_sum, without_check_sum
from extract.images.augmentation import view_of
from extract.machine.packages import is_installed, versions_of
from extract.storage.embeddings import Provenance, sha256_of
from extract.transforms.preprocessing import CHOICES, Preprocessing
from extract.workspace import AnyPath, file_name

if TYPE_CHECKING:
    import torch

HOMES = ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "HOME")
"""Variables that say where weights are found."""

OF_NO_FILE = ("pretrained", "random")
"""What ``weights`` can be but a file."""


def load_kept(
    name: str,
    kept_in: Path | None,
    *,
    weights: AnyPath = "pretrained",
    seed: int = 0,
    device: str = "cpu",
    pooling: str = "auto",
    resize: str = "auto",
    write: bool = True,
) -> Backbone:
    """Give a backbone as :func:`~extract.backbones.registry.load_backbone` does, maybe unbuilt.

    Parameters
    ----------
    name, weights, seed, device, pooling, resize
        As it takes them.
    kept_in : Path, optional
        Folder of what is known of backbones; without it the backbone is built.
    write : bool
        Whether what was built is kept at once; else :func:`keep` does it.

    Returns
    -------
    Backbone
        Its model is built when it is first used, where all else is known already.

    Raises
    ------
    UsageError, WeightsError
        As it does.
    """
    weights = os.fspath(weights)
    how: dict[str, Any] = {"weights": weights, "seed": seed, "pooling": pooling, "resize": resize}
    if kept_in is None:
        return registry.load_backbone(name, device=device, **how)
    found = (each for each in exported_models(kept_in) if _is_requested(each, name, how))
    exported = next(found, None)
    path = _path(kept_in, name, how)
    of_export = described_backbone(exported.known) if exported else None
    known = _read(path, name, how) or of_export
    if known is None:
        built = replace(_built(name, how), kept=Kept(kept_in, how)).on(device)
        if write:
            keep(built)
        return built
    if of_export is not None and of_export.identity != known.identity:
        exported = None  # of weights as they were before
    record = None if known is of_export else path
    return _unbuilt(known, Kept(kept_in, how, exported), record).on(device)


def keep(backbone: Backbone) -> None:
    """Keep what is known of a backbone, if it was built just now and there is a folder for it."""
    kept = backbone.kept
    if kept is None or isinstance(backbone.network, DeferredModel):
        return
    path = _path(kept.folder, backbone.name, kept.how)
    with suppress(OSError):  # a folder that cannot be written: it is built each time
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            write_json(temporary, with_check_sum(describe(backbone, kept.how)))


def _unbuilt(known: Backbone, kept: Kept, record: Path | None) -> Backbone:
    """Give what is known a model that is built when it is needed, and must be the same.

    A record that turns out wrong is removed; an export is right for the weights it was made of.
    """

    def build() -> torch.nn.Module:
        built = _built(known.name, kept.how)
        if built.identity != known.identity or built.n_dims != known.n_dims:
            if record is None:
                raise WeightsDiffer(
                    f"the {known.name} that is to be had here is not the one exported to "
                    f"{kept.exported and kept.exported.path}: give its weights with --weights "
                    "FILE, or move the export to another folder"
                )
            record.unlink(missing_ok=True)
            raise WeightsDiffer(f"{known.name} is not what {record} has: type the command again")
        return built.model

    return replace(known, network=DeferredModel(build), kept=kept)


def _built(name: str, how: Mapping[str, Any]) -> Backbone:
    if not is_installed("torch"):
        raise WeightsError(
            f"{name} cannot be built, as torch is not installed, and cache/backbones has no export "
            "of it with these options: make one where torch is, with "
            f"python -m extract models --export {name}{EXPORTED} --model {name}"
        )
    return registry.load_backbone(name, **how)


def _path(kept_in: Path, name: str, how: Mapping[str, Any]) -> Path:
    """Name the file by all that a backbone depends on, but for what is in files."""
    drawn = how["weights"] == "random"
    if how["weights"] not in OF_NO_FILE:  # the same name is another file in another folder
        how = {**how, "weights": str(Path(how["weights"]).absolute())}
    key = {
        "format": FORMAT,
        "name": name,
        **{k: v for k, v in how.items() if k != "seed" or drawn},
        "versions": {"sosie": extract.__version__, **versions_of(LIBRARIES)},
        "homes": {variable: os.environ.get(variable) for variable in HOMES},
    }
    return kept_in / f"{file_name(name)}-{sha256_of(key)[:16]}.json"


def _read(path: Path, name: str, how: Mapping[str, Any]) -> Backbone | None:
    """Read what is known; None where that is nothing, is damaged, or its files are others now."""
    try:
        known, _ = without_check_sum(read_json(path.read_bytes()))
        if known["name"] != name or known["settings"] != _settings(name):
            return None
        if known["file"] and _sha256_now(known, str(how["weights"])) != known["file"]["sha256"]:
            return None
        return described_backbone(known)
    except (*UNREADABLE, WeightsError):
        return None


def _sha256_now(known: Mapping[str, Any], weights: str) -> str | None:
    """Hash the weights' file that would be read now, found without torch; None without one."""
    if weights != "pretrained":
        return sha256_of_file(Path(weights))
    spec, on_hub = BACKBONES.get(known["name"]), known["on_hub"]
    if spec and spec.packaged:
        return sha256_of_file(spec.packaged.located())
    if on_hub:
        cached = cached_on_hub(on_hub["repo"], on_hub["file"])
        return sha256_of_file(cached) if cached else None
    return sha256_of_file(Path(known["file"]["path"]))  # in torch's cache, which HOMES name


def _settings(name: str) -> dict[str, str]:
    """Hash the settings that are read with a repository's weights, found without transformers."""
    library, _, repo = name.partition(":")
    config = cached_on_hub(repo, CONFIG) if library == "hf" else None
    read_with_it = sorted(config.parent.glob("*.json")) if config else ()
    return {path.name: sha256_of_file(path) for path in read_with_it}


def describe(backbone: Backbone, how: Mapping[str, Any]) -> dict[str, Any]:
    """Spell what is known of a backbone as JSON.

    Parameters
    ----------
    backbone : Backbone
    how : mapping
        How it was requested, as of :class:`~extract.backbones.registry.Kept`.
    """
    found = find_weights_file(backbone.name, str(how["weights"]))
    file = found and {"path": str(found.absolute()), "sha256": sha256_of_file(found)}
    model, packaged = find_model(backbone.name)
    on_hub = model.on_hub if how["weights"] == "pretrained" and not packaged else None
    return {
        "format_version": FORMAT,
        "name": backbone.name,
        "how": {**how, "weights": str(how["weights"])},
        "weights": dict(backbone.weights),
        "pooling": backbone.pooling,
        "n_dims": backbone.n_dims,
        "preprocessing": asdict(backbone.preprocessing),
        "published": asdict(backbone.published) if backbone.published else None,
        "file": file,
        "on_hub": on_hub and dict(zip(("repo", "file"), on_hub, strict=True)),
        "settings": _settings(backbone.name),
    }


def described_backbone(known: Mapping[str, Any]) -> Backbone:
    """Make the backbone that :func:`describe` spelled; it has no model.

    Raises
    ------
    ValueError, KeyError, TypeError
        When it is none.
    """
    if known["format_version"] != FORMAT:
        raise ValueError("of another version")
    own = known["published"]
    return Backbone(
        str(known["name"]),
        DeferredModel(_never),
        _preprocessing(known["preprocessing"]),
        int(known["n_dims"]),
        dict(known["weights"]),
        str(known["pooling"]),
        "cpu",
        published=_preprocessing(own) if own else None,
    )


def _never() -> torch.nn.Module:
    raise AssertionError("what is known of a backbone builds nothing")


def _preprocessing(known: Mapping[str, Any]) -> Preprocessing:
    settings: dict[str, Any] = {**known, "mean": tuple(known["mean"]), "std": tuple(known["std"])}
    return Preprocessing(**settings)


def exported_models(kept_in: Path) -> Iterator[ExportedModel]:
    """Yield the exported models in a folder that can be computed here."""
    if is_installed("openvino"):
        for path in sorted(kept_in.glob(f"*{EXPORTED}")):
            exported = read_exported(path)
            with suppress(*UNREADABLE):
                if exported is not None and described_backbone(exported.known):
                    yield exported


def _is_requested(exported: ExportedModel, name: str, how: Mapping[str, Any]) -> bool:
    """Whether an exported model is the one that these options give."""
    known = exported.known
    if known["name"] != name or exported.how["resize"] != how["resize"]:
        return False
    if how["pooling"] not in (exported.how["pooling"], known["pooling"]):
        return False
    if not _is_current(known, str(how["weights"])):
        return False
    if how["weights"] not in OF_NO_FILE:
        return _is_of_file(known, Path(how["weights"]))
    drawn_alike = how["weights"] != "random" or how["seed"] == exported.how["seed"]
    return bool(how["weights"] == exported.how["weights"]) and drawn_alike


def _is_of_file(known: Mapping[str, Any], weights_file: Path) -> bool:
    """Whether an export's weights are those that a file holds now."""
    with suppress(OSError):
        file = known["file"]
        return bool(file) and sha256_of_file(weights_file) == file["sha256"]
    return False


def _is_current(known: Mapping[str, Any], weights: str) -> bool:
    """Whether the hub's cache has no other weights or settings now than those of an export.

    An export stands for itself where the cache has none.
    """
    on_hub = known.get("on_hub") if weights == "pretrained" else None
    settings = known.get("settings")
    try:
        if settings and _settings(known["name"]) not in ({}, settings):
            return False
        now = _sha256_now(known, weights) if on_hub else None
        return now is None or now == known["file"]["sha256"]
    except (*UNREADABLE, UsageError):
        return False


def load_from_provenance(
    provenance: Provenance,
    *,
    weights_file: Path | None = None,
    device: str = "cpu",
    kept_in: Path | None = None,
) -> Backbone:
    """Give the backbone that vectors came from; another one is refused.

    Parameters
    ----------
    provenance : Provenance
        Of the vectors' file.
    weights_file : Path, optional
        Needed where the weights came from a file.
    device : str
    kept_in : Path, optional
        As of :func:`load_kept`; without it the backbone is built.

    Raises
    ------
    WeightsError
        When its weights are not to be had.
    WeightsDiffer
        When what is to be had gives other vectors.
    """
    identity, name = provenance.identity, provenance.model
    if "imported" in identity:
        raise WeightsError(
            f"{name} holds imported vectors: no backbone is known here that made them, so new "
            "pictures cannot be embedded and answers not explained; embed the pictures with "
            "python -m extract --images DIR"
        )
    for exported in exported_models(kept_in) if kept_in else ():
        known = described_backbone(exported.known).viewed(view_of(identity))
        if known.identity != identity:
            continue
        if weights_file is None or _is_of_file(exported.known, weights_file):
            given = {"weights": str(weights_file)} if weights_file else {}
            kept = Kept(exported.path.parent, {**exported.how, **given}, exported)
            return _unbuilt(known, kept, None).on(device)
    stored = identity.get("weights", {})
    source = stored.get("source", "pretrained")
    if TUNED in stored:
        raise WeightsError(
            f"the last stage of {name} was trained with a head: python -m analyze predict --head "
            "FILE --images DIR embeds pictures so"
        )
    # a file from elsewhere may call a path its source: only a path that is given is opened
    if source not in OF_NO_FILE and weights_file is None:
        raise WeightsError(f"the weights of {name} came from a file: give it with --weights FILE")
    how: dict[str, Any] = {
        "weights": str(weights_file or source),
        "seed": int(stored.get("seed", 0)),
    }
    how |= _choices_of(name, identity, how, kept_in)
    backbone = load_kept(name, kept_in, device=device, **how).viewed(view_of(identity))
    if backbone.provenance.identity_sha256 != provenance.identity_sha256:
        here = backbone.identity
        other = [part for part in here if here[part] != identity.get(part)]
        raise WeightsDiffer(
            f"the {name} that is to be had here gives other vectors than those of the file: its "
            f"{', '.join(other) or 'identity'} differ; embed the catalogue with it first, "
            "python -m extract"
        )
    return backbone


def _choices_of(
    name: str, identity: Mapping[str, Any], how: Mapping[str, Any], kept_in: Path | None
) -> dict[str, str]:
    """Find the pooling and resize as typed that gave an identity; known ones load no library."""
    pooling = str(identity.get("pooling", "auto"))
    for choices in product(("auto", pooling), CHOICES):
        found = dict(zip(("pooling", "resize"), choices, strict=True))
        known = kept_in and _read(_path(kept_in, name, {**how, **found}), name, how)
        if known and known.viewed(view_of(identity)).identity == identity:
            return found
    return {"pooling": pooling, "resize": _resize_of(name, identity)}


def _resize_of(name: str, identity: Mapping[str, Any]) -> str:
    """Find the choice of ``--resize`` that gives the geometry of an identity."""
    geometry = identity.get("geometry", {})
    model, _ = find_model(name)
    for choice in CHOICES:
        with suppress(UsageError):
            if model.preprocessing(choice).geometry == geometry:
                return choice
    return str(geometry.get("resize", "auto"))
