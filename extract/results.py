"""Results: one run, one folder, written whole and never overwritten."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from extract.errors import SosieError
from extract.tables import write_csv, write_tables

__all__ = ["new_run", "write_csv", "write_json", "write_tables"]


@contextmanager
def new_run(results: Path, command: str) -> Iterator[tuple[Path, Path]]:
    """Give a folder to write into, and the one it becomes when all is written.

    The folder appears under its name, UTC time and command, in one step; ``latest`` then leads
    to it. Nothing is left behind when writing fails.

    Raises
    ------
    SosieError
        When the folder cannot be written.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{command}"
        temporary, final = _claim(results, name)
        try:
            yield temporary, final
            temporary.rename(final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):  # the run itself is written
            _point_latest(results, final)
    except OSError as error:
        raise SosieError(
            f"cannot write results in {results}: {error.strerror or error}; choose a workspace "
            "that can be written with --root DIR"
        ) from error


def _claim(results: Path, name: str) -> tuple[Path, Path]:
    """Make the hidden folder that holds a name; count up where a run of the same second has it."""
    for number in itertools.count(1):
        final = results / (name if number == 1 else f"{name}-{number}")
        temporary = results / f".{final.name}.tmp"
        with contextlib.suppress(FileExistsError):
            temporary.mkdir()
            if not final.exists():
                return temporary, final
            temporary.rmdir()
    raise AssertionError


def _point_latest(results: Path, final: Path) -> None:
    if (results / "latest").is_dir() and not (results / "latest").is_symlink():
        return  # somebody's own folder of that name is theirs
    link = results / f".latest.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(final.name)
    link.replace(results / "latest")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a run's JSON object, readable; NaN never appears."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="ascii")
