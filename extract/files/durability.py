"""Making files and their names last, also when the power goes."""

from __future__ import annotations

import os
from pathlib import Path


def put_in_place(temporary: Path, path: Path) -> None:
    """Make a file written under a temporary name durable, then rename it, durably too."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a file that is synced may still lose its name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
