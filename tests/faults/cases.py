"""One file from elsewhere, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REFUSED, READ, MISSING = "refused", "read", "missing"
"""MISSING is for caches: what is damaged there is computed again, without a word."""


@dataclass(frozen=True)
class Case:
    """One file from elsewhere, and what must come of it.

    Parameters
    ----------
    reader : str
        A name of :data:`tests.faults.readers.READERS`.
    name : str
    make : callable
        (empty folder) -> the path that is read.
    wanted : str
    """

    reader: str
    name: str
    make: Callable[[Path], Path]
    wanted: str
