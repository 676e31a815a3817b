"""The two files of an index: FAISS's own, and what it holds, bound by a check sum and a hash."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.neighbors.indexes.approximate_index import Effort
from analyze.neighbors.indexes.exact_search import load_faiss
from analyze.neighbors.indexes.index_types import IndexKind
from extract.errors import EmbeddingsFileError, of_later_format
from extract.files.durability import written_whole
from extract.files.private_memory import allocate_private_memory, opened, read_into
from extract.files.strict_json import later_version, read_json, with_check_sum, without_check_sum
from extract.ids import shown
from extract.machine.system_calls import CLOSED_IN_CHILDREN, lock_file
from extract.storage.embeddings import canonical_json
from extract.workspace import file_name

log = logging.getLogger("sosie")

FORMAT = "sosie-index"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class IndexFile:
    """Where one index of one embeddings file is kept.

    Parameters
    ----------
    folder : Path
        Deleting it costs time, never truth.
    embeddings_path : Path
        Of the embeddings file.
    kind : IndexKind
    reduced_dims : int or None
    """

    folder: Path
    embeddings_path: Path
    kind: IndexKind
    reduced_dims: int | None

    @property
    def stem(self) -> str:
        """Catalogue, file and index, for people; the hash inside binds it to the file."""
        path = self.embeddings_path
        axes = f"-pca{self.reduced_dims}" if self.reduced_dims else ""
        return f"{file_name(path.resolve().parent.name)}-{path.stem}-{self.kind.name}{axes}"

    @property
    def path(self) -> Path:
        """FAISS's own file."""
        return self.folder / f"{self.stem}.faiss"

    @property
    def record_path(self) -> Path:
        """What it holds, what it was measured to find, and the hash of the other."""
        return self.folder / f"{self.stem}.json"


def efforts_of(record: dict[str, Any]) -> tuple[Effort, ...]:
    """Return the searches that were measured, the easiest first."""
    return tuple(Effort(*each) for each in record["efforts"])


def of_later_version(file: IndexFile) -> str | None:
    """Return a note where a later version keeps its index; that is neither read nor replaced."""
    version = later_version(file.record_path, FORMAT_VERSION)
    if version is None:
        return None
    return of_later_format(shown(str(file.record_path)), version, FORMAT_VERSION)


@dataclass(frozen=True, eq=False)
class StoredIndex:
    """An index as it is kept, proved.

    Parameters
    ----------
    record : dict
        What it holds, and what it was measured to find.
    content : ndarray of uint8
        The very bytes of FAISS's file that its hash proves; read-only.
    """

    record: dict[str, Any]
    content: np.ndarray

    def to_search(self) -> Any:
        """Make FAISS's index, which looks at these bytes and copies next to none."""
        faiss = load_faiss()
        reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(self.content), self.content.size)
        built = faiss.read_index(reader)
        built.referenced_objects = [self.content]  # FAISS's own name for what must live as long
        return built

    def to_fill(self) -> Any:
        """Make FAISS's index of a copy, so that its rows can be taken out and others put in."""
        return load_faiss().deserialize_index(self.content)


def read_stored(file: IndexFile) -> tuple[StoredIndex | None, str | None]:
    """Read a stored index; None where there is none or it is damaged, and then why.

    FAISS trusts what it reads with its memory, so the hash is proved first, of bytes that nobody
    else can change.
    """
    if not file.record_path.is_file() and not file.path.is_file():
        return None, None
    try:
        record = read_json(file.record_path.read_bytes())
        _check_record(record, file)
        record, proven = without_check_sum(record)
        if not proven:
            return None, "the stored index is of an earlier version, without a check sum"
        with opened(file.path) as stored:
            content = allocate_private_memory(os.fstat(stored.fileno()).st_size, file.folder)
            read_into(stored, 0, content)
        if hashlib.sha256(content.data).hexdigest() != record["sha256"]:
            raise ValueError("its bytes do not fit their hash")
        content.flags.writeable = False
        return StoredIndex(record, content), None
    except EmbeddingsFileError as error:
        return None, f"the stored index cannot be read ({error})"
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"{error}"
        return None, f"the stored index is damaged ({why})"


def _check_record(record: Any, file: IndexFile) -> None:
    kinds = {"n_indexed": int, "taught_on": int, "efforts": list, "recall_of_rows": float}
    kinds |= {
        "all_measured": bool,
        "n_queries": int,
        "fingerprint": str,
        "identity": str,
        "sha256": str,
        "knobs": dict,
    }
    for name, kind in kinds.items():
        if type(record[name]) is not kind:
            raise ValueError(f"its {name} is {record[name]!r:.40}")
    version = record["format"], record["format_version"]
    if version != (FORMAT, FORMAT_VERSION):
        raise ValueError("another format")
    if (record["index"], record["reduced_dims"]) != (file.kind.name, file.reduced_dims):
        raise ValueError("another index")
    if not 0 <= record["recall_of_rows"] <= 1:
        raise ValueError(f"its recall_of_rows is {record['recall_of_rows']!r:.40}")
    efforts = efforts_of(record)
    for effort in efforts:
        if not all(type(r) is float and 0 <= r <= 1 for r in (effort.choosing, effort.recall)):
            raise ValueError(f"its efforts are {record['efforts']!r:.60}")
    if record["knobs"] not in [effort.knobs for effort in efforts]:
        raise ValueError(f"its knobs are {record['knobs']!r:.60}")
    numbers = [value for effort in efforts for value in effort.knobs.values()]
    names = set(file.kind.steps(1000)[0])
    if any(type(n) is not int or n < 1 for n in numbers):
        raise ValueError(f"its efforts are {record['efforts']!r:.60}")
    if any(set(effort.knobs) != names for effort in efforts):
        raise ValueError(f"its efforts are {record['efforts']!r:.60}")


@contextmanager
def locked_index(file: IndexFile) -> Iterator[bool]:
    """Let one run at a time build an index; the others wait. Yields whether it can be kept."""
    try:
        file.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(
            file.folder / f"{file.stem}.lock", os.O_RDWR | os.O_CREAT | CLOSED_IN_CHILDREN, 0o644
        )
    except OSError:
        yield False
        return
    try:
        lock_file(handle)
        for left_behind in file.folder.glob(f".{file.stem}.*.tmp"):
            with suppress(OSError):
                left_behind.unlink()
        yield True
    finally:
        os.close(handle)


def write_built(file: IndexFile, built: Any) -> dict[str, Any]:
    """Write an index, whole or not at all; returns its hash and size."""
    try:
        file.record_path.unlink(missing_ok=True)  # it describes the one before
        with written_whole(file.path) as temporary:
            load_faiss().write_index(built, str(temporary))
            with temporary.open("rb") as written:
                digest = hashlib.file_digest(written, "sha256").hexdigest()
            n_bytes = temporary.stat().st_size
    except (OSError, RuntimeError) as error:  # FAISS reports a full disk by a RuntimeError
        log.warning("index not kept for the next run: %s", str(error).splitlines()[0])
        return {}
    return {"sha256": digest, "bytes": n_bytes}


def write_record(file: IndexFile, record: dict[str, Any]) -> None:
    """Write the record of an index that is kept."""
    if "sha256" not in record:
        return
    try:
        with written_whole(file.record_path) as temporary:
            temporary.write_text(canonical_json(with_check_sum(record)) + "\n")
    except OSError as error:
        log.warning("index not kept for the next run: %s", error.strerror or error)
