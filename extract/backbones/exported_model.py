"""A backbone exported to a file, to be computed without torch.

The file is a zip of three members, not compressed: ``backbone.json``, and OpenVINO's
``model.xml`` and ``model.bin``. It goes from uint8 pixels to the vector.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.errors import WeightsError
from extract.files.durability import written_whole
from extract.files.strict_json import read_json, with_check_sum, without_check_sum
from extract.machine.packages import versions_of

FORMAT = 1
SUFFIX = ".exported.zip"
DESCRIPTION, GRAPH, TENSORS = "backbone.json", "model.xml", "model.bin"
MOST_DESCRIPTION = 1 << 20
UNREADABLE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)
"""What is raised by a file that is damaged, or of something else."""

LIBRARIES = ("torch", "torchvision", "timm", "transformers")
"""What is known of a backbone holds for these versions of them."""


def sha256_of_file(path: Path) -> str:
    """Hash a file; hexadecimal.

    Raises
    ------
    OSError
        When there is none.
    """
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """A backbone that OpenVINO computes from a file, without torch.

    Parameters
    ----------
    path : Path
    known : mapping
        What is known of the backbone, and ``identity_sha256``, ``versions``, ``worst_cosine`` with
        the reference path over ``n_checked`` drawn pictures, and both parts' SHA-256.
    """

    path: Path
    known: Mapping[str, Any]

    @property
    def how(self) -> dict[str, Any]:
        """How it was requested."""
        return dict(self.known["how"])

    @property
    def worst_cosine(self) -> float:
        """With the reference path, over drawn pictures, when it was exported."""
        return float(self.known["worst_cosine"])

    @property
    def holds_here(self) -> bool:
        """Whether the libraries that made it have the same versions, as far as they are here."""
        here = versions_of(tuple(self.known["versions"]))
        return all(here[k] in (v, "unknown") for k, v in self.known["versions"].items())

    def to_json(self) -> dict[str, Any]:
        """Spell what was exported with the keys that programs read."""
        known = self.known
        return {
            "file": str(self.path),
            "model": known["name"],
            "weights": known["weights"]["source"],
            "identity": known["identity_sha256"][:8],
            "pooling": known["pooling"],
            "resize": known["preprocessing"]["resize"],
            "size": known["preprocessing"]["size"],
            "n_dims": known["n_dims"],
            "n_bytes": self.path.stat().st_size,
            "n_checked": known["n_checked"],
            "worst_cosine": self.worst_cosine,
            "versions": dict(known["versions"]),
        }

    def text(self) -> str:
        """Spell it for people, with what it is for."""
        found = self.to_json()
        return (
            f"{self.path}: {found['model']} ({found['weights']} weights, pooling "
            f"{found['pooling']}, resize {found['resize']} {found['size']}), "
            f"{found['n_bytes'] / 1e6:.1f} MB\n"
            f"{found['n_checked']} drawn pictures: worst cosine {self.worst_cosine:.6f} to the "
            "reference path\n"
            "in cache/backbones of a workspace, extract, similar and serve compute with it, "
            "without torch"
        )

    def model(self) -> tuple[bytes, bytes]:
        """Read OpenVINO's graph and tensors.

        Raises
        ------
        WeightsError
            When they are damaged.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                parts = [_member(archive, name) for name in (GRAPH, TENSORS)]
            hashes = [hashlib.sha256(part).hexdigest() for part in parts]
            if hashes != self.known["sha256"]:
                raise ValueError("other bytes than were written")
        except UNREADABLE as error:
            raise WeightsError(
                f"{self.path} is damaged: remove it, and export the backbone again with "
                "python -m extract models --export FILE"
            ) from error
        return parts[0], parts[1]


def read_exported(path: Path) -> ExportedModel | None:
    """Read what an exported model is of; None where a file is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = _member(archive, DESCRIPTION, MOST_DESCRIPTION)
        known, _ = without_check_sum(read_json(content))
        exported = ExportedModel(path, known)
        return exported if known["format_version"] == FORMAT and exported.holds_here else None
    except UNREADABLE:
        return None


def write_exported(
    path: Path, known: Mapping[str, Any], graph: bytes, tensors: bytes
) -> ExportedModel:
    """Write an exported model, whole or not at all.

    Parameters
    ----------
    known : mapping
        All of :class:`ExportedModel` but the hashes.
    """
    hashes = [hashlib.sha256(part).hexdigest() for part in (graph, tensors)]
    described = with_check_sum({**known, "sha256": hashes})
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(DESCRIPTION, json.dumps(described, indent=1, allow_nan=False) + "\n")
        archive.writestr(GRAPH, graph)
        archive.writestr(TENSORS, tensors)
    return ExportedModel(path, described)


def _member(archive: zipfile.ZipFile, name: str, most: int | None = None) -> bytes:
    """Read a member that is stored as it is, and so is no longer than the file."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or (most is not None and info.file_size > most):
        raise ValueError(f"{name} is compressed, or too long")
    return archive.read(info)
