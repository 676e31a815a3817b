"""Indexes kept between runs: built once, bound to their embeddings, mapped into memory."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analyze.approximate_index import (
    ApproximateIndex,
    Effort,
    choose_effort,
    hold_out,
    measure_efforts,
    recall_of_rows,
)
from analyze.directions import rows_with_direction
from analyze.index_choice import Choice
from analyze.indexes import FLAT, IndexKind, add_rows, build, find_kind
from analyze.neighbors import Index, load_faiss
from extract.durability import put_in_place
from extract.embeddings import EmbeddingSet, canonical_json
from extract.strict_json import read_json
from extract.workspace import file_name

log = logging.getLogger("sosie")

FORMAT = "sosie-index"
FORMAT_VERSION = 1
SAID = ("reduced_dims", "n_indexed", "taught_on", "knobs", "seconds", "bytes")
ENOUGH = 0.995
"""Recall beyond which no harder search is measured, unless it is wanted."""

MOST_GROWTH = 2
"""Times the rows that cells and codes were taught on; beyond they are taught anew."""


@dataclass(frozen=True, eq=False)
class OpenedIndex:
    """An index that can be asked, and what is known of it.

    Parameters
    ----------
    index : Index or None
        None for exact search, which needs none.
    why : str
        Why this one.
    recall, recall_of_rows : float
        At 10, against exact search: for what is not in the index, as a new picture is not, and for
        its own rows.
    n_queries : int
        Held-out rows that the first was measured on; 0 where the search is exact by itself.
    about : dict
        JSON values.
    notes : tuple of str
    """

    index: Index | None
    why: str
    recall: float = 1.0
    recall_of_rows: float = 1.0
    n_queries: int = 0
    about: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


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
        """Catalogue, file, index: what tells it apart for people; the hash inside binds it."""
        path = self.embeddings_path
        axes = f"-pca{self.reduced_dims}" if self.reduced_dims else ""
        return f"{file_name(path.resolve().parent.name)}-{path.stem}-{self.kind.name}{axes}"

    @property
    def path(self) -> Path:
        """FAISS's own file."""
        return self.folder / f"{self.stem}.faiss"

    @property
    def said_path(self) -> Path:
        """What it holds, what it was measured to find, and the hash of the other."""
        return self.folder / f"{self.stem}.json"


Progress = Callable[[int, int], None]


def open_index(
    embeddings: EmbeddingSet,
    path: Path,
    folder: Path,
    choice: Choice,
    wanted: float,
    progress: Progress | None = None,
) -> OpenedIndex:
    """Open a stored index, or build it where there is none that fits.

    Parameters
    ----------
    embeddings : EmbeddingSet
    path : Path
        Their file.
    folder : Path
        Where indexes are kept.
    choice : Choice
    wanted : float
        Recall at 10, 0 to 1.
    progress : callable, optional
        (rows added, rows) while it is built.
    """
    if choice.name == FLAT:
        return OpenedIndex(None, choice.why)
    kind = find_kind(choice.name)
    known = rows_with_direction(embeddings.vectors)
    if len(known) < kind.least_rows:
        why = f"{len(known)} rows are too few to teach {kind.name}: all are compared"
        return OpenedIndex(None, why)
    reduced = choice.reduced_dims
    if reduced and reduced >= min(embeddings.vectors.shape[1], len(known)):
        reduced = None  # nothing would be saved
    file = IndexFile(folder, path, kind, reduced)
    with _held(file) as may_write:
        opening = _Opening(embeddings, file, known, wanted, may_write)
        opened = opening.opened(choice.why, progress)
    missed = f"a recall of {wanted:g} is out of reach of {kind.name}: {opened.recall:.4f}"
    notes = opened.notes if opened.recall >= wanted else (*opened.notes, missed)
    return replace(opened, notes=notes)


@dataclass(frozen=True, eq=False)
class _Opening:
    """One index being opened, while no other run builds it."""

    embeddings: EmbeddingSet
    file: IndexFile
    known: np.ndarray
    wanted: float
    may_write: bool

    def opened(self, why: str, progress: Progress | None) -> OpenedIndex:
        said, why_not = _read_said(self.file)
        if said is not None and said["fingerprint"] == self.embeddings.fingerprint:
            faiss = load_faiss()
            built = faiss.read_index(str(self.file.path), faiss.IO_FLAG_MMAP_IFC)
            if built.ntotal != len(self.known):
                why_not = "the stored index is damaged (it holds other rows)"
            elif not _is_measured(said, self.wanted):
                why_not = f"a recall of {self.wanted:g} was not measured when it was built"
            else:
                return self._set(why, said, built)
        elif said is not None:
            why_not = "the embeddings have changed since the index was built"
        taught = self._taught(said)
        if taught is not None and said is not None:
            why_not = (
                f"the catalogue grew from {said['n_indexed']} to {len(self.known)} rows: all were "
                "added to the index again, and what it was taught is kept"
            )
        elif why_not:
            why_not = f"{why_not}: built again"
        taught_on = said["taught_on"] if said is not None and taught is not None else None
        opened = self._set(why, *self._built(taught, taught_on, progress))
        return replace(opened, notes=(why_not,) if why_not else ())

    def _taught(self, said: dict[str, Any] | None) -> Any:
        """Give the index before, where its rows became more and what it was taught still fits."""
        if said is None or said["identity"] != self.embeddings.provenance.identity_sha256:
            return None
        if not said["n_indexed"] < len(self.known) <= MOST_GROWTH * said["taught_on"]:
            return None
        return load_faiss().read_index(str(self.file.path))

    def _built(
        self, taught: Any, taught_on: int | None, progress: Progress | None
    ) -> tuple[dict[str, Any], Any]:
        """Build and keep; give what there is to say of it, and the index."""
        file, vectors = self.file, self.embeddings.vectors
        began = time.monotonic()
        indexed, held = hold_out(self.known)
        built = build(file.kind, vectors, indexed, file.reduced_dims, taught, progress)
        if not file.kind.is_graph:
            add_rows(built, vectors, held)
            indexed = np.concatenate([indexed, held])
        index = ApproximateIndex(vectors, indexed, built, file.kind, {})
        efforts = measure_efforts(index, vectors, held, max(self.wanted, ENOUGH))
        if file.kind.is_graph:
            add_rows(built, vectors, held)  # not before: the walk would find them, and their links
        said = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "index": file.kind.name,
            "reduced_dims": file.reduced_dims,
            "n_indexed": len(self.known),
            "n_dims": int(vectors.shape[1]),
            "identity": self.embeddings.provenance.identity_sha256,
            "fingerprint": self.embeddings.fingerprint,
            "taught_on": taught_on or len(self.known),
            "efforts": [[dict(e.knobs), e.choosing, e.recall] for e in efforts],
            "all_measured": len(efforts) == len(file.kind.steps(len(indexed))),
            "n_queries": len(held) // 2,
            "seconds": time.monotonic() - began,
            "faiss": load_faiss().__version__,
        }
        if self.may_write:
            said |= _write_built(file, built)
        else:
            log.warning("index not kept for the next run: %s cannot be written", file.folder)
        return said, built

    def _set(self, why: str, said: dict[str, Any], built: Any) -> OpenedIndex:
        """Set how hard it searches, and measure what it finds so for its own rows, too."""
        kind, vectors = self.file.kind, self.embeddings.vectors
        effort = choose_effort(_efforts(said), self.wanted)
        index = ApproximateIndex(
            vectors, np.concatenate(hold_out(self.known)), built, kind, effort.knobs
        )
        if said.get("knobs") != dict(effort.knobs):
            recall = recall_of_rows(index, vectors)
            said = {**said, "knobs": dict(effort.knobs), "recall_of_rows": recall}
            if self.may_write:
                _write_said(self.file, said)
        about = {name: said[name] for name in SAID if name in said}
        return OpenedIndex(
            index, why, effort.recall, said["recall_of_rows"], said["n_queries"], about
        )


def _efforts(said: dict[str, Any]) -> tuple[Effort, ...]:
    return tuple(Effort(*each) for each in said["efforts"])


def _is_measured(said: dict[str, Any], wanted: float) -> bool:
    """Say whether a step that reaches a recall was measured, or all steps were."""
    return said["all_measured"] or any(effort.reaches(wanted) for effort in _efforts(said))


def _read_said(file: IndexFile) -> tuple[dict[str, Any] | None, str | None]:
    """Read what is said of a stored index; nothing where it is damaged, and then why.

    FAISS trusts what it reads with its memory, so the file's hash is proved first.
    """
    if not file.said_path.is_file() and not file.path.is_file():
        return None, None
    try:
        said = read_json(file.said_path.read_bytes())
        _check_said(said, file)
        with file.path.open("rb") as stored:
            if hashlib.file_digest(stored, "sha256").hexdigest() != said["sha256"]:
                raise ValueError("its bytes do not fit their hash")
        return said, None
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"{error}"
        return None, f"the stored index is damaged ({why})"


def _check_said(said: Any, file: IndexFile) -> None:
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
        if type(said[name]) is not kind:
            raise ValueError(f"its {name} is {said[name]!r:.40}")
    version = said["format"], said["format_version"]
    if version != (FORMAT, FORMAT_VERSION):
        raise ValueError("another format")
    if (said["index"], said["reduced_dims"]) != (file.kind.name, file.reduced_dims):
        raise ValueError("another index")
    if not 0 <= said["recall_of_rows"] <= 1:
        raise ValueError(f"its recall_of_rows is {said['recall_of_rows']!r:.40}")
    efforts = _efforts(said)
    for effort in efforts:
        if not all(type(r) is float and 0 <= r <= 1 for r in (effort.choosing, effort.recall)):
            raise ValueError(f"its efforts are {said['efforts']!r:.60}")
    if said["knobs"] not in [effort.knobs for effort in efforts]:
        raise ValueError(f"its knobs are {said['knobs']!r:.60}")
    numbers = [value for effort in efforts for value in effort.knobs.values()]
    names = set(file.kind.steps(1000)[0])
    if any(type(n) is not int or n < 1 for n in numbers):
        raise ValueError(f"its efforts are {said['efforts']!r:.60}")
    if any(set(effort.knobs) != names for effort in efforts):
        raise ValueError(f"its efforts are {said['efforts']!r:.60}")


@contextmanager
def _held(file: IndexFile) -> Iterator[bool]:
    """Let one run at a time build an index; the others wait for it. Say whether it can be kept."""
    try:
        file.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(
            file.folder / f"{file.stem}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
    except OSError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for left_behind in file.folder.glob(f".{file.stem}.*.tmp"):
            with suppress(OSError):
                left_behind.unlink()
        yield True
    finally:
        os.close(handle)


def _write_built(file: IndexFile, built: Any) -> dict[str, Any]:
    """Keep an index; its file appears whole or not at all. Give its hash, and how large it is."""
    temporary = file.folder / f".{file.stem}.{os.getpid()}.tmp"
    try:
        file.said_path.unlink(missing_ok=True)  # it speaks of the one before
        load_faiss().write_index(built, str(temporary))
        with temporary.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        n_bytes = temporary.stat().st_size
        put_in_place(temporary, file.path)
    except (OSError, RuntimeError) as error:  # FAISS says a full disk by a RuntimeError
        log.warning("index not kept for the next run: %s", str(error).splitlines()[0])
        return {}
    finally:
        temporary.unlink(missing_ok=True)
    return {"sha256": digest, "bytes": n_bytes}


def _write_said(file: IndexFile, said: dict[str, Any]) -> None:
    if "sha256" not in said:
        return
    temporary = file.folder / f".{file.stem}.json.{os.getpid()}.tmp"
    try:
        temporary.write_text(canonical_json(said) + "\n")
        put_in_place(temporary, file.said_path)
    except OSError as error:
        log.warning("index not kept for the next run: %s", error.strerror or error)
    finally:
        temporary.unlink(missing_ok=True)
