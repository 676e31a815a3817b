"""What is seen of the pictures before any is decoded: size, date, and bytes where those decide."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from extract.catalog.catalog import Catalog
from extract.errors import SurveyStopped
from extract.formats.extra_formats import READER
from extract.images.decoding import opened_picture
from extract.images.memory_limits import picture_memory
from extract.images.reading import read_row, stat_row
from extract.images.sample_formats import USUAL
from extract.pipeline.monitor import Monitor
from extract.refusals import Refused

ROWS_AT_ONCE = 1024
"""How many are looked at between two checks whether to stop."""


def stat_pictures(catalog: Catalog, monitor: Monitor) -> np.ndarray:
    """See size in bytes and mtime in ns of every picture; -1 where there is none.

    Returns
    -------
    ndarray of shape (n_images, 2), int64

    Raises
    ------
    SurveyStopped
        When the monitor requests it.
    """
    stats = np.empty((len(catalog), 2), np.int64)
    everything = np.arange(len(catalog))
    for rows in _portions(everything, "looking at pictures", monitor):
        stats[rows] = [stat_row(catalog, row) for row in rows]
    return stats


class ContentReader:
    """Reads pictures whole for their hash, each once, whatever the number of files.

    Parameters
    ----------
    catalog : Catalog
    monitor : Monitor
    workers : int
        Threads that read.
    """

    def __init__(self, catalog: Catalog, monitor: Monitor, *, workers: int) -> None:
        self._catalog, self._monitor, self._workers = catalog, monitor, workers
        self._read: dict[int, bytes | None] = {}

    def __call__(self, rows: np.ndarray) -> dict[int, bytes]:
        """Give the sha256 of the bytes of those pictures that can be read.

        Raises
        ------
        SurveyStopped
            When the monitor requests it.
        """
        new = np.array([row for row in rows.tolist() if row not in self._read], int)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="hash") as pool:
            for portion in _portions(new, "reading pictures", self._monitor):
                hashes = pool.map(partial(_hash, self._catalog), portion)
                self._read.update(zip(portion, hashes, strict=True))
        found = ((row, self._read[row]) for row in rows.tolist())
        return {row: sha256 for row, sha256 in found if sha256 is not None}


def read_by_header(catalog: Catalog, rows: np.ndarray, monitor: Monitor, workers: int) -> list[int]:
    """List the pictures that are not read by their mode alone, or not at all, by their headers.

    Raises
    ------
    SurveyStopped
        When the monitor requests it.
    """
    found: list[int] = []
    with ThreadPoolExecutor(workers, thread_name_prefix="header") as pool:
        for portion in _portions(rows, "looking at headers", monitor):
            special = pool.map(partial(_is_special, catalog), portion)
            found += [row for row, is_one in zip(portion, special, strict=True) if is_one]
    return found


@picture_memory()
def _is_special(catalog: Catalog, row: int) -> bool:
    try:
        file = read_row(catalog, row)
        with opened_picture(file.content) as opened:
            return opened.stored != USUAL or READER in opened.picture.info
    except Refused:
        return stat_row(catalog, row)[0] >= 0


@picture_memory()
def _hash(catalog: Catalog, row: int) -> bytes | None:
    try:
        return read_row(catalog, row).sha256
    except Refused:
        return None


def _portions(rows: np.ndarray, what: str, monitor: Monitor) -> Iterator[list[int]]:
    """Hand out rows; report progress, and check whether to go on."""
    for first in range(0, len(rows), ROWS_AT_ONCE):
        if first and monitor.should_stop():
            raise SurveyStopped(
                f"stopped while {what}, before the first was embedded: type the same command again"
            )
        yield rows[first : first + ROWS_AT_ONCE].tolist()
        monitor.surveyed(what, min(first + ROWS_AT_ONCE, len(rows)), len(rows))
