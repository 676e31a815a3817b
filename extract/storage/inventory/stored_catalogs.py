"""What is stored in the workspace's cache: embeddings files by catalogue, and what they take."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from extract.errors import EmbeddingsFileError
from extract.ids import shown
from extract.refusals import TO_DO
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import EmbeddingsTable
from extract.storage.failures import failures_path
from extract.storage.labels_file import labels_path
from extract.workspace import VIEWS, Workspace

HEADER = ("catalog", "file", "backbone", "geometry", "rows", "dims", "size", "updated", "state")
UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class StoredEmbeddings:
    """One embeddings file of the workspace, with the files next to it.

    Parameters
    ----------
    path : Path
        In the folder of its catalogue, or in the folder of augmented views there.
    folder : Path
        Of its catalogue.
    """

    path: Path
    folder: Path

    @property
    def name(self) -> str:
        """The file as ``--remove CATALOG/FILE`` takes it."""
        return self.path.relative_to(self.folder).as_posix()

    @cached_property
    def table(self) -> EmbeddingsTable | None:
        """Its rows; None where it cannot be read."""
        with suppress(EmbeddingsFileError):
            return read_table(self.path)
        return None

    @property
    def companions(self) -> tuple[Path, ...]:
        """The files next to it that belong to it and are there: labels, refusals, lock."""
        lock = self.path.with_name(f"{self.path.stem}.lock")
        named = (labels_path(self.path), failures_path(self.path), lock)
        return tuple(path for path in named if is_plain_file(path))

    @property
    def updated(self) -> datetime:
        """When a run last filled it, else when it was last written."""
        record = self.table.provenance.record if self.table else {}
        with suppress(ValueError):
            when = datetime.fromisoformat(str(record.get("updated")))
            return when if when.tzinfo else when.replace(tzinfo=UTC)
        return datetime.fromtimestamp(self.path.lstat().st_mtime, UTC)

    def to_json(self) -> dict[str, Any]:
        """Return what is known of it with the keys that programs read; null where unreadable."""
        table = self.table
        made = table.provenance if table else None
        n_to_do = int((table.now("status") == TO_DO).sum()) if table else None
        return {
            "catalog": self.folder.name,
            "file": self.name,
            "model": made.model if made else None,
            "weights": made.weights if made else None,
            "resize": made.resize if made else None,
            "size": made.size if made else None,
            "pooling": made.pooling if made else None,
            "n_images": len(table) if table else None,
            "n_dims": table.n_dims if table else None,
            "to_do": n_to_do,
            "complete": n_to_do == 0 if table else None,
            "n_bytes": sum(path.lstat().st_size for path in (self.path, *self.companions)),
            "updated": self.updated.isoformat(timespec="seconds"),
        }


def is_plain_file(path: Path) -> bool:
    """Whether a file is there that is no link, pipe or folder."""
    return path.is_file() and not path.is_symlink()


def stored_catalogs(workspace: Workspace) -> tuple[StoredEmbeddings, ...]:
    """List the embeddings files of a workspace, augmented views included, sorted by path."""
    folder_of = {path: path.parent for path in workspace.stored_embeddings()}
    for path in (workspace.cache / "embeddings").glob(f"*/{VIEWS}/*.h5"):
        if path.is_file() and not path.name.endswith(".labels.h5"):
            folder_of[path] = path.parent.parent
    return tuple(StoredEmbeddings(path, folder_of[path]) for path in sorted(folder_of))


def describe_stored(workspace: Workspace) -> dict[str, Any]:
    """Return all that is stored in a workspace's cache, by the JSON keys.

    Returns
    -------
    dict
        ``catalogs``, one object per embeddings file; ``caches``, bytes by folder of what is kept
        between runs; ``n_bytes``, of the whole cache.
    """
    folders = {
        "demo": workspace.demo,
        "backbones": workspace.cached_backbones,
        "reductions": workspace.cached_reductions,
        "clusterings": workspace.cached_clusterings,
        "indexes": workspace.cached_indexes,
        "heads": workspace.cached_head_trials,
        "robustness": workspace.cached_robustness,
    }
    return {
        "catalogs": [stored.to_json() for stored in stored_catalogs(workspace)],
        "caches": {name: _bytes_in(folder) for name, folder in folders.items()},
        "n_bytes": _bytes_in(workspace.cache),
    }


def as_text(described: dict[str, Any], now: datetime | None = None) -> str:
    """Spell what :func:`describe_stored` returns for people."""
    now = now or datetime.now(UTC)
    rows = [_cells(stored, now) for stored in described["catalogs"]]
    lines = lined_up([HEADER, *rows]) if rows else ["no catalogue is stored: python -m extract"]
    kept = [f"{name} {spelled_bytes(n)}" for name, n in described["caches"].items() if n]
    if kept:
        lines.append(f"kept between runs: {', '.join(kept)}")
    return "\n".join([*lines, f"cache: {spelled_bytes(described['n_bytes'])}"])


def _cells(stored: dict[str, Any], now: datetime) -> tuple[str, ...]:
    age = spelled_age((now - datetime.fromisoformat(stored["updated"])).total_seconds())
    names = shown(stored["catalog"]), shown(stored["file"])
    end = spelled_bytes(stored["n_bytes"]), age
    if stored["complete"] is None:
        return (*names, "-", "-", "-", "-", *end, "unreadable")
    geometry = " ".join(word for word in (stored["resize"], stored["size"]) if word != "unknown")
    state = "complete" if stored["complete"] else f"{stored['to_do']} to do"
    numbers = str(stored["n_images"]), str(stored["n_dims"])
    return (*names, stored["model"], geometry or "-", *numbers, *end, state)


def lined_up(rows: Sequence[Sequence[str]]) -> list[str]:
    """Line up the columns of a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def spelled_bytes(n_bytes: float) -> str:
    """Spell a size in the largest unit that leaves a digit before the point."""
    for unit in UNITS[:-1]:
        if n_bytes < 999.5:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.3g} {UNITS[-1]}"


def spelled_age(seconds: float) -> str:
    """Spell how long ago something was, in its largest unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            n = int(seconds // length)
            return f"{n} {unit}{'s' if n > 1 else ''} ago"
    return "just now"


def _bytes_in(folder: Path) -> int:
    """Add up the files in a folder; links are not followed, what goes meanwhile is passed over."""
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(here, name).lstat().st_size
    return total
