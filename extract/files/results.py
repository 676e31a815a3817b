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
from extract.machine.system_calls import CLOSED_IN_CHILDREN, lock_file
from extract.tables import write_csv, write_tables

__all__ = ["new_run", "write_csv", "write_json", "write_tables"]


LINK = ".latest."
"""How the link to the newest run is named until it takes its place."""


@contextmanager
def new_run(results: Path, command: str) -> Iterator[tuple[Path, Path]]:
    """Give a folder to write into, and the one it becomes when all is written.

    The folder appears under its name, UTC time and command, in one step; ``latest`` then leads
    to it. Nothing is left behind when writing fails; what a killed run left is swept by the next.

    Raises
    ------
    SosieError
        When the folder cannot be written.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{command}"
        with _alone_in(results):
            _sweep(results)
            temporary, final, held = _claim(results, name)
        try:
            yield temporary, final
            temporary.rename(final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            os.close(held)
        with contextlib.suppress(OSError), _alone_in(results):  # the run itself is written
            _point_latest(results, final)
    except OSError as error:
        raise SosieError(
            f"cannot write results in {results}: {error.strerror or error}; choose a workspace "
            "that can be written with --root DIR"
        ) from error


@contextmanager
def _alone_in(results: Path) -> Iterator[None]:
    """Hold the folder of all runs for as long as names in it are looked at and taken."""
    handle = os.open(results, os.O_RDONLY | CLOSED_IN_CHILDREN)
    try:
        lock_file(handle)
        yield
    finally:
        os.close(handle)


def _sweep(results: Path) -> None:
    """Remove what runs left that were killed: the kernel has let go of the folders they held."""
    for link in results.glob(f"{LINK}[0-9]*"):
        link.unlink(missing_ok=True)
    for folder in results.glob(".[0-9]*T[0-9]*Z-*.tmp"):
        with contextlib.suppress(OSError):
            handle = _hold(folder)
            try:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _hold(folder: Path) -> int:
    """Hold a run's hidden folder until the handle is closed, or the process ends."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | CLOSED_IN_CHILDREN)
    try:
        lock_file(handle, wait=False)
    except OSError:
        os.close(handle)
        raise
    return handle


def _claim(results: Path, name: str) -> tuple[Path, Path, int]:
    """Make and hold the hidden folder that becomes a name; count up where that is taken."""
    for number in itertools.count(1):
        final = results / (name if number == 1 else f"{name}-{number}")
        temporary = results / f".{final.name}.tmp"
        with contextlib.suppress(FileExistsError):
            temporary.mkdir()
            if not final.exists():
                return temporary, final, _hold(temporary)
            temporary.rmdir()
    raise AssertionError


def _point_latest(results: Path, final: Path) -> None:
    if (results / "latest").is_dir() and not (results / "latest").is_symlink():
        return  # somebody's own folder of that name is theirs
    link = results / f"{LINK}{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(final.name)
    link.replace(results / "latest")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a run's JSON object, readable; NaN never appears."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="ascii")
