"""Backbones exported to a file that OpenVINO computes without torch, checked when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.backbones.exported_model import (
    LIBRARIES,
    SUFFIX,
    ExportedModel,
    write_exported,
)
from extract.backbones.kept_backbones import describe
from extract.backbones.options import BackboneOptions
from extract.backbones.registry import Backbone
from extract.errors import UsageError
from extract.inference.fidelity import FP32_FLOOR, cosines, drawn_pictures
from extract.inference.openvino_runtime import (
    MISSING,
    as_bytes,
    convert,
    forward_of_openvino,
    from_bytes,
)
from extract.machine.packages import is_installed, versions_of
from extract.workspace import Workspace, file_name

if TYPE_CHECKING:
    from PIL import Image


def converted_model(backbone: Backbone) -> Any:
    """Give OpenVINO's model of a backbone: from its exported file, else converted.

    What is converted is exported too, where there is a folder for it: from then on it is computed
    without torch.

    Raises
    ------
    UsageError
        When OpenVINO cannot take the model.
    WeightsError
        When the exported file is damaged.
    """
    if backbone.exported is not None:
        return from_bytes(*backbone.exported.model())
    converted = _converted(backbone)
    if backbone.kept is not None:
        name = f"{file_name(backbone.name)}-{backbone.viewed(None).provenance.short_identity}"
        with suppress(OSError, UsageError):  # one that is not near enough is only not kept
            _export(backbone, converted, backbone.kept.folder / f"{name}{SUFFIX}")
    return converted


def export_chosen(options: BackboneOptions, path: Path, workspace: Workspace) -> ExportedModel:
    """Export the one backbone that options choose.

    Parameters
    ----------
    options : BackboneOptions
    path : Path
        Ends in ``.exported.zip``.
    workspace : Workspace
        Where what is known of backbones is kept.

    Raises
    ------
    UsageError
        When several are chosen, OpenVINO is not installed, or a file is there; and as
        :func:`export` does.
    """
    chosen = options.settled()
    if len(chosen.model or ()) > 1:
        raise UsageError("--export names one file: export each model with a command of its own")
    if not path.name.endswith(SUFFIX):
        raise UsageError(f"--export {path} must end in {SUFFIX}")
    if path.exists():
        raise UsageError(f"{path} is there already: give another name with --export FILE")
    if not is_installed("openvino"):
        raise UsageError(MISSING)
    (backbone,) = chosen.load(workspace.cached_backbones)
    return export(backbone, path)


def export(backbone: Backbone, path: Path) -> ExportedModel:
    """Export a backbone to a file, whole or not at all.

    Parameters
    ----------
    backbone : Backbone
        One of :func:`extract.backbones.kept_backbones.load_kept`, on the CPU.
    path : Path

    Raises
    ------
    UsageError
        When OpenVINO cannot take the model, or gives other vectors than the reference path.
    """
    return _export(backbone, _converted(backbone), path)


def _converted(backbone: Backbone) -> Any:
    import torch

    from extract.inference.normalizing import FromPixels

    preprocessing = backbone.preprocessing
    model = FromPixels(backbone.model, preprocessing, torch.float32, torch.contiguous_format)
    return convert(model.eval(), backbone.name, preprocessing.size)


def _export(backbone: Backbone, converted: Any, path: Path) -> ExportedModel:
    """Write what was converted, if it gives the reference path's vectors of drawn pictures."""
    if backbone.kept is None:
        raise ValueError("a backbone is exported with what is kept of it")
    graph, tensors = as_bytes(converted)
    pictures = drawn_pictures()
    worst = _worst_cosine(backbone, from_bytes(graph, tensors), pictures)
    if worst < FP32_FLOOR:
        raise UsageError(
            f"{backbone.name} is not exported: OpenVINO's vectors are at cosine {worst:.6f} to the "
            f"reference path, below {FP32_FLOOR}; use --runtime torch"
        )
    known = {
        **describe(backbone, backbone.kept.how),
        "identity_sha256": backbone.viewed(None).provenance.identity_sha256,
        "versions": versions_of((*LIBRARIES, "openvino")),
        "n_checked": len(pictures),
        "worst_cosine": worst,
    }
    return write_exported(path, known, graph, tensors)


def _worst_cosine(backbone: Backbone, converted: Any, pictures: Sequence[Image.Image]) -> float:
    pixels = np.stack([backbone.preprocessing.placed(picture) for picture in pictures])
    forward = forward_of_openvino(converted, batch_size=len(pixels), threads=1, dtype="fp32")
    return float(cosines(forward(pixels), backbone.embed_pictures(list(pictures))).min())
