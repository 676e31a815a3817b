"""Result folders read back: which run was made from which embeddings, and what it wrote."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyze.run_history.run_folders import RECORD, RUN_NAME, read_record
from extract.tables import unguarded

MOST_BYTES = 200_000_000
"""Of one file of a run: what is larger was not written by a command."""

MOST_CELLS_BYTES = 1_000_000


@dataclass(frozen=True, eq=False)
class StoredRun:
    """One result folder.

    Parameters
    ----------
    folder : Path
    kind : str
        The command in its name, such as ``compare``.
    record : mapping
        Its ``run.json``.
    """

    folder: Path
    kind: str
    record: Mapping[str, Any]

    @property
    def command(self) -> str:
        """As it was typed."""
        return str(self.record.get("command", ""))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fingerprints of the embeddings it was computed from."""
        given = self.record.get("inputs")
        listed = given if isinstance(given, list) else [given]
        return tuple(str(e.get("embeddings_sha256")) for e in listed if isinstance(e, Mapping))

    def rows(self, name: str) -> Iterator[dict[str, str]]:
        """Read a table it wrote, a row at a time; nothing where there is none."""
        path = self.folder / f"{name}.csv"
        if not _plain(path):
            return
        csv.field_size_limit(MOST_CELLS_BYTES)
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield {key: unguarded(value or "") for key, value in row.items() if key is not None}

    def figures(self, names: Iterable[str]) -> list[Path]:
        """Find its figures by the beginnings of their names, in that order."""
        found = sorted(path for path in self.folder.glob("*.png") if _plain(path))
        stems = [(path, path.stem) for path in found]
        wanted = [
            path
            for name in names
            for path, stem in stems
            if stem == name or re.fullmatch(rf"{re.escape(name)}-\d+", stem)
        ]
        return list(dict.fromkeys(wanted))


def stored_runs(results: Path) -> list[StoredRun]:
    """Read the result folders that are there, the newest first; damaged ones are passed over."""
    found = []
    for folder in sorted(results.glob("[0-9]*T*Z-*"), reverse=True):
        named = RUN_NAME.fullmatch(folder.name)
        if named is None or folder.is_symlink() or (folder / RECORD).is_symlink():
            continue
        if record := read_record(folder):
            found.append(StoredRun(folder, named[2], record))
    return sorted(found, key=lambda run: str(run.record.get("written", "")), reverse=True)


def _plain(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink() and path.stat().st_size <= MOST_BYTES
    except OSError:
        return False
