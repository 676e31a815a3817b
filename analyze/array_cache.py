"""Arrays kept between runs: a ``.npy`` next to the JSON key that it depends on."""

from __future__ import annotations

import io
import logging
import math
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from extract.errors import of_later_format
from extract.files.strict_json import later_version, read_json, with_check_sum, without_check_sum
from extract.storage.embeddings import canonical_json, sha256_of

log = logging.getLogger("sosie")

FORMAT_VERSION = 1
KEYED_PACKAGES = (
    "numpy",
    "scikit-learn",
    "openTSNE",
    "umap-learn",
    "pynndescent",
    "numba",
)
"""Another version of one of these may give other numbers."""

REVISION = 3
"""Raised whenever a change of ours gives other numbers for the same words."""

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class ArrayCache:
    """A folder of arrays, each under the hash of all that it depends on.

    Parameters
    ----------
    folder : Path
        Deleting it costs time, never truth.
    what : str
        What is kept, for the warning that it cannot be.
    """

    folder: Path
    what: str

    def read(
        self, key: Mapping[str, Any], build: Callable[[np.ndarray, Mapping[str, Any]], Kept]
    ) -> Kept | None:
        """Return what was kept under a key, built again; None where it is missing or damaged.

        Parameters
        ----------
        key : mapping
            All that the array depends on; JSON values only.
        build : callable
            (array, its record) -> the result. A ValueError, KeyError or TypeError of it means
            that the array is damaged.
        """
        stem = self._stem(key)
        try:
            record = _record_of(stem.with_suffix(".json"))
            if record["key"] != key:
                return None
            raw = _bytes_of(stem.with_suffix(".npy"))
            if record["crc32"] != zlib.crc32(raw):
                return None
            return build(_array_of(raw), record)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, key: Mapping[str, Any], array: np.ndarray, **values: Any) -> None:
        """Keep an array and some JSON values; each file appears whole or not at all.

        Where it cannot be kept a warning reports it: the result is returned all the same.
        """
        stem = self._stem(key)
        raw = io.BytesIO()
        np.lib.format.write_array(raw, array, allow_pickle=False)
        record = {**values, "key": key, "crc32": zlib.crc32(raw.getbuffer())}
        record = with_check_sum({**record, "format_version": FORMAT_VERSION})
        place = stem.with_suffix(".json")
        later = later_version(place, FORMAT_VERSION)
        if later:
            _warn_once(f"{self.what} not kept: {of_later_format(place, later, FORMAT_VERSION)}")
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._put(stem.with_suffix(".npy"), raw.getvalue())
            self._put(place, canonical_json(record).encode())
        except OSError as error:
            _warn_once(f"{self.what} not kept for the next run: {error.strerror or error}")

    def stored_keys(self) -> Iterator[dict[str, Any]]:
        """List the keys that something is kept under; what is damaged is passed over."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                key = _record_of(path)["key"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if isinstance(key, dict):
                yield key

    def _stem(self, key: Mapping[str, Any]) -> Path:
        return self.folder / sha256_of(key)[:32]

    def _put(self, path: Path, raw: bytes) -> None:
        temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        for left_behind in self.folder.glob(f".{path.stem}.[0-9]*{path.suffix}"):
            if not _is_at_work(left_behind.name.split(".")[2]):
                left_behind.unlink(missing_ok=True)
        try:
            temporary.write_bytes(raw)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)  # on a full disk it would take what room is left


def _is_at_work(process: str) -> bool:
    """Return whether a process of this number runs: one that was killed left its file."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError, OverflowError):
        pass
    return True


def check_texts(values: Any) -> tuple[str, ...]:
    """Check a list of texts, as notes are kept with an array.

    Raises
    ------
    ValueError
        When it is anything else.
    """
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("not a list of texts")
    return tuple(values)


def _record_of(path: Path) -> dict[str, Any]:
    """Read the record of an array: proven by its check sum, which earlier versions lack.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError
        When it is damaged, or of another version.
    """
    record, proven = without_check_sum(read_json(_bytes_of(path)))
    if not proven or record["format_version"] != FORMAT_VERSION:
        raise ValueError("of another version")
    return record


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(path)
    return path.read_bytes()


def _array_of(raw: bytes) -> np.ndarray:
    """Read plain numbers of a file with exactly the bytes that its header requires.

    numpy's own reader takes memory by the header before it looks at the rest.
    """
    file = io.BytesIO(raw)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of the format")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:
        raise ValueError("the header is none") from error
    start, plain = file.tell(), dtype.kind in "biuf" and dtype.names is None
    if not plain or min(shape, default=0) < 0:
        raise ValueError("not plain numbers")
    if math.prod(shape) * dtype.itemsize != len(raw) - start:
        raise ValueError("another size than in the header")
    stored = np.frombuffer(raw, dtype, offset=start)
    return stored.reshape(shape, order="F" if by_column else "C").copy(order="K")


@cache
def _warn_once(message: str) -> None:
    """Warn once of what would fail for each of many arrays alike."""
    log.warning("%s", message)


@cache
def keyed_versions() -> dict[str, str]:
    """Name the versions that cached numbers come from: of libraries, and our own revision."""
    return {"sosie": str(REVISION), **{package: version(package) for package in KEYED_PACKAGES}}
