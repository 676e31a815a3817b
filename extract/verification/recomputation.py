"""Vectors and pixels computed again through the reference path, to hold a file's rows against."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from extract.backbones.registry import Backbone, find_model
from extract.errors import UsageError
from extract.images.augmentation import View, reference_pixels, view_of
from extract.images.decoding import RULES, decode_picture, refusing
from extract.images.reading import read_picture
from extract.inference.fidelity import FP32_FLOOR, MOST_RECOMPUTED, cosines, is_reference
from extract.refusals import Refused
from extract.transforms.pillow_geometry import FILTERS
from extract.transforms.preprocessing import Preprocessing
from extract.verification.evidence import Evidence

SAME_MACHINE_COSINE = 0.999999
OTHER_DEVICE_COSINE = 0.9999
ROUGH_COSINE = 0.99
LARGEST_SIDE = 8192
"""Beyond it an identity is no backbone's, and its transform would only fill the memory."""


def lowest_cosine(execution_config: Mapping[str, Any]) -> float:
    """Give how far a row computed so may be from the reference path on this machine's CPU.

    Batches of another size and other processors move the last bits of fp32 on a CPU; a GPU sums in
    another order; half precision was seen at 0.9931 on photographs, and is allowed when requested.
    """
    if (
        execution_config.get("dtype", "fp32") != "fp32"
        or execution_config.get("decoder") == "scaled"
    ):
        return ROUGH_COSINE
    if not is_reference(execution_config):
        return FP32_FLOOR
    return (
        SAME_MACHINE_COSINE
        if execution_config.get("device", "cpu") == "cpu"
        else OTHER_DEVICE_COSINE
    )


def agrees(stored: np.ndarray, again: np.ndarray, lowest: np.ndarray | float) -> np.ndarray:
    """Find the rows that agree in direction and, as closely, in length.

    The length may differ by as much as a vector of that cosine may be off sideways.
    """
    length = np.linalg.norm(np.where(np.isfinite(stored), stored, 0).astype(np.float64), axis=1)
    expected = np.linalg.norm(again.astype(np.float64), axis=1)
    slack = np.sqrt(2 * (1 - np.asarray(lowest)))
    near: np.ndarray = np.abs(length - expected) <= slack * expected
    return near & (cosines(stored, again) >= lowest)


@dataclass(frozen=True, eq=False)
class Recomputed:
    """Some rows computed again.

    Parameters
    ----------
    rows : ndarray of shape (n,), int
    cosine : ndarray of shape (n,), float64
        Of each row with itself computed again.
    lowest : ndarray of shape (n,), float64
        The limit of each, by how it was computed.
    wrong : ndarray of shape (n,), bool
    undecodable : int
        Pictures drawn that cannot be decoded here.
    """

    rows: np.ndarray
    cosine: np.ndarray
    lowest: np.ndarray
    wrong: np.ndarray
    undecodable: int


def recompute(evidence: Evidence, backbone: Backbone) -> Recomputed | None:
    """Compute some rows again, drawn among those with pictures that are there and unchanged.

    Returns
    -------
    Recomputed or None
        None where there is no such row.
    """
    import torch

    root, table = evidence.pictures.root, evidence.table
    candidates = np.flatnonzero(evidence.pictures.unchanged)
    drawn = np.random.default_rng(evidence.seed).permutation(candidates)[:MOST_RECOMPUTED]
    if root is None:
        return None
    wanted = backbone.preprocessing, backbone.view
    seen = {row: _pixels(root, table.paths[row], *wanted) for row in sorted(drawn.tolist())}
    pixels = {row: each for row, each in seen.items() if each is not None}
    if not pixels:
        return None
    again = backbone.embed(torch.stack(list(pixels.values())))
    rows = np.array(list(pixels))
    stored = table.take_vectors(rows)
    ways = table.provenance.execution_configs
    numbers = table.rows.execution_config[rows].tolist()
    lowest = np.array([lowest_cosine(ways[n] if n < len(ways) else {}) for n in numbers])
    wrong = ~agrees(stored, again, lowest)
    return Recomputed(rows, cosines(stored, again), lowest, wrong, len(seen) - len(pixels))


def _pixels(root: Path, path: str, seen: Preprocessing, view: View | None) -> Any:
    """Decode and prepare one picture; None where that cannot be done here."""
    try:
        with refusing():
            return reference_pixels(read_picture(root, path), seen, view)
    except Refused:
        return None


def seen_by_model(identity: Mapping[str, Any]) -> Preprocessing | None:
    """Take the preprocessing that an identity names; None where it is none of ours."""
    try:
        geometry = dict(identity["geometry"])
        mean, std = (tuple(map(float, identity[name])) for name in ("mean", "std"))
        seen = Preprocessing(**geometry, mean=mean, std=std)
        fits = 0 < seen.size <= LARGEST_SIDE and seen.size / LARGEST_SIDE <= seen.crop_pct
        fits = fits and isinstance(seen.size, int) and seen.crop_pct <= seen.size
        if not fits or seen.interpolation not in FILTERS or identity["rules"] != RULES:
            return None
        view_of(identity)
    except (KeyError, TypeError, ValueError, AttributeError, UsageError):
        return None
    return seen


def look_the_same(evidence: Evidence, rows: np.ndarray, seen: Preprocessing) -> bool | None:
    """Whether the pictures of some rows look the same to the model; None where one is not had.

    The first two that differ decide; copies of the same bytes are decoded once.
    """
    root, table = evidence.pictures.root, evidence.table
    hashes, digest, lacking = set(), None, False
    view = view_of(table.provenance.identity)
    for row in rows.tolist():
        content = table.rows.content_sha256[row].tobytes()
        if content in hashes:
            continue
        hashes.add(content)
        usable = root is not None and bool(evidence.pictures.unchanged[row])
        pixels = _pixels(root, table.paths[row], seen, view) if root and usable else None
        if pixels is None:
            lacking = True
            continue
        found = hashlib.sha256(pixels.numpy().tobytes()).digest()
        if digest is not None and found != digest:
            return False
        digest = found
    return None if lacking else True


GOLDEN = files("extract") / "verification" / "golden"
"""Four small pictures, and their vectors by the sha256 of the weights that gave them."""


def golden_vectors(weights_sha256: str) -> tuple[tuple[str, ...], np.ndarray] | None:
    """Read the golden pictures' names and their vectors of some weights; None where there are none.

    Returns
    -------
    tuple of (tuple of str, ndarray of shape (4, n_dims), float32), or None
    """
    with (GOLDEN / "vectors.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
        name = f"weights_{weights_sha256}"
        return (tuple(stored["pictures"].tolist()), stored[name]) if name in stored else None


def embed_golden(backbone: Backbone, names: tuple[str, ...]) -> np.ndarray:
    """Embed the golden pictures as they come with the weights, whatever geometry is requested."""
    model, _ = find_model(backbone.name)
    pictures = [decode_picture((GOLDEN / name).read_bytes()) for name in names]
    return replace(backbone, preprocessing=model.preprocessing("model")).embed_pictures(pictures)
