"""How near the rows of a run are to the reference path, by computing some of them again."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.backbones.exported_model import ExportedModel
from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog
from extract.images.augmentation import exact_pixels, reference_pixels
from extract.images.decoding import refusing
from extract.images.reading import read_row
from extract.inference.openvino_runtime import forward_of_openvino, from_bytes
from extract.refusals import Refused

if TYPE_CHECKING:
    from PIL import Image

MOST_RECOMPUTED = 16
FP32_FLOOR, HALF_FLOOR = 0.9995, 0.998
"""Cosines with the reference path that a fast path must keep; half precision and scaled decoding
have the lower one."""


def floor_of(execution_config: Mapping[str, Any]) -> float:
    """Say how near to the reference path rows that are computed so must be."""
    whole = (
        execution_config.get("dtype", "fp32") == "fp32"
        and execution_config.get("decoder") != "scaled"
    )
    return FP32_FLOOR if whole else HALF_FLOOR


def is_reference(execution_config: Mapping[str, Any]) -> bool:
    """Say whether rows that are computed so take the reference path itself."""
    reference = {"runtime": "eager", "decoder": "reference", "resize": "pillow", "dtype": "fp32"}
    return all(execution_config.get(way, usual) == usual for way, usual in reference.items())


def cosines(stored: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Give the cosine of each pair of rows; 0 where one of them has no direction.

    Parameters
    ----------
    stored, again : ndarray of shape (n, n_dims)

    Returns
    -------
    ndarray of shape (n,), float64
    """
    one, other = (np.where(np.isfinite(a), a, 0).astype(np.float64) for a in (stored, again))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine: np.ndarray = (one * other).sum(axis=1) / np.where(lengths == 0, 1, lengths)
    return np.where(np.isfinite(stored).all(axis=1), cosine, 0.0)


@dataclass(frozen=True)
class Fidelity:
    """How near some rows of a file are to themselves computed by the reference path.

    Parameters
    ----------
    n_rows : int
    worst_cosine : float
    floor : float
        What a path of this kind must keep.
    exported : float, optional
        The cosine at which the model was exported, where that stands for the reference path's.
    """

    n_rows: int
    worst_cosine: float
    floor: float
    exported: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the worst row keeps the floor."""
        return self.worst_cosine >= self.floor

    def worse_of(self, other: Mapping[str, Any] | None) -> Fidelity:
        """Join what an earlier run of the same file recorded: its rows are still there."""
        if not other:
            return self
        before = Fidelity(**other)
        # rows below their own floor are not excused by the lower one of others
        worse = min(self, before, key=lambda found: (found.kept, found.worst_cosine))
        return replace(worse, n_rows=self.n_rows + before.n_rows)

    def described(self) -> dict[str, Any]:
        """Spell it for a record."""
        return {"n_rows": self.n_rows, "worst_cosine": self.worst_cosine, "floor": self.floor}


def drawn_pictures() -> list[Image.Image]:
    """Draw the pictures on which a path is tried before real ones: some of each kind of product."""
    from extract.catalog.demo import KINDS, draw_picture

    kinds = list(KINDS)
    return [draw_picture(kinds[i % len(kinds)], random.Random(i)) for i in range(MOST_RECOMPUTED)]


def measure_fidelity(
    catalog: Catalog,
    backbone: Backbone,
    execution_config: Mapping[str, Any],
    rows: np.ndarray,
    vectors: np.ndarray,
) -> Fidelity | None:
    """Compute rows again through the reference path and hold them against what was computed.

    Parameters
    ----------
    rows : ndarray of shape (n,), int
        Those of the catalogue; a picture that cannot be read any more is left out.
    vectors : ndarray of shape (n, n_dims)

    Returns
    -------
    Fidelity or None
        None where no row could be computed again.
    """
    exported = backbone.exported if execution_config["runtime"] == "openvino" else None
    make = exact_pixels if exported else reference_pixels
    again, kept = [], []
    for i, row in enumerate(rows.tolist()):
        try:
            with refusing():
                file = read_row(catalog, row)
                again.append(make(file, backbone.preprocessing, backbone.view))
        except Refused:
            continue
        kept.append(i)
    if not kept:
        return None
    expected = _by_export(exported, again) if exported else _by_reference(backbone, again)
    worst, when_made = float(cosines(vectors[kept], expected).min()), None
    if exported:
        when_made = exported.worst_cosine
        worst = min(worst, when_made)
    return Fidelity(len(kept), worst, floor_of(execution_config), when_made)


def _by_reference(backbone: Backbone, pixels: Sequence[Any]) -> np.ndarray:
    import torch

    return backbone.embed(torch.stack(list(pixels)))


def _by_export(exported: ExportedModel, pixels: Sequence[np.ndarray]) -> np.ndarray:
    """Compute in fp32 by the exported model, which was held against the reference when made."""
    converted = from_bytes(*exported.model())
    forward = forward_of_openvino(converted, batch_size=len(pixels), threads=1, dtype="fp32")
    return forward(np.stack(pixels))
