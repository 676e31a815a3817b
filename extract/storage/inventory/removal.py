"""Embeddings files removed from the cache, with all that belongs to them and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.errors import EmbeddingsFileError, FileLocked, LaterFormat, UsageError, cannot_write
from extract.files.file_lock import locked
from extract.files.private_memory import state_of
from extract.files.strict_json import read_json, without_check_sum
from extract.ids import shown
from extract.storage.embeddings_file import read_embeddings, read_provenance
from extract.storage.inventory.stored_catalogs import (
    StoredEmbeddings,
    is_plain_file,
    spelled_bytes,
    stored_catalogs,
)
from extract.workspace import Workspace

OUR_NAME = re.compile(r".+-[0-9a-f]{8}\.h5")
"""How files are named that ``extract`` lays out, also those that are damaged."""

CACHE_NAME = re.compile(r"[0-9a-f]{32}\.json")
INDEX_ENDINGS = re.compile(r"\w+(-pca\d+)?\.(faiss|json|lock)")
MOST_BYTES = 1 << 20
"""Of the record of a kept array; ours take a few hundred."""


@dataclass(frozen=True)
class Removal:
    """What is to be removed: looked up before anything is.

    Parameters
    ----------
    workspace : Workspace
    files : tuple of StoredEmbeddings
    states : tuple
        Of those files, as they were looked at.
    caches : tuple of Path
        Reductions, clusterings, indexes and figures of robustness of their vectors.
    """

    workspace: Workspace
    files: tuple[StoredEmbeddings, ...]
    states: tuple[tuple[int, ...] | None, ...]
    caches: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that goes: each embeddings file before those that belong to it."""
        own = [path for each in self.files for path in (each.path, *each.companions)]
        return (*own, *self.caches)

    def to_json(self) -> dict[str, Any]:
        """Return the files and their bytes with the keys that programs read."""
        return {
            "removed": [self.workspace.relative(path) for path in self.paths],
            "n_bytes": sum(path.lstat().st_size for path in self.paths),
        }

    def text(self) -> str:
        """Name what goes, a line per file."""
        sizes = [(path, path.lstat().st_size) for path in self.paths]
        lines = [f"{shown(self.workspace.relative(p))}  {spelled_bytes(n)}" for p, n in sizes]
        total = spelled_bytes(sum(n for _, n in sizes))
        return "\n".join([*lines, f"{len(sizes)} files, {total}"])

    def carry_out(self) -> None:
        """Remove the files while their locks are held, and folders that are empty then.

        Raises
        ------
        FileLocked
            When a run writes one of them; then nothing is removed.
        EmbeddingsFileError
            When one has changed since it was looked at, or may not be removed.
        """
        with ExitStack() as held:
            for each, state in zip(self.files, self.states, strict=True):
                self._hold(held, each.path)
                if state_of(each.path) != state:
                    raise EmbeddingsFileError(
                        f"{self._spelled(each.path)} changed meanwhile, and nothing was removed: "
                        "type the command again"
                    )
            for path in self.paths:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise cannot_write(f"in {path.parent}", error) from error
        for each in self.files:
            for folder in dict.fromkeys((each.path.parent, each.folder)):
                with suppress(OSError):  # another file lies there
                    folder.rmdir()

    def _hold(self, held: ExitStack, path: Path) -> None:
        try:
            held.enter_context(locked(path))
        except FileLocked as error:
            who = str(error).partition(" is being written by ")[2].partition(";")[0]
            raise FileLocked(
                f"{self._spelled(path)} is being written by {who}, and nothing was removed: wait "
                "for it"
            ) from error

    def _spelled(self, path: Path) -> str:
        return shown(self.workspace.relative(path))


def plan_removal(workspace: Workspace, wanted: Sequence[str]) -> Removal:
    """Look up what belongs to catalogues or to single files of them; nothing is removed yet.

    Parameters
    ----------
    workspace : Workspace
    wanted : sequence of str
        Each ``NAME`` or ``NAME/FILE``, as :func:`stored_catalogs` lists them.

    Raises
    ------
    UsageError
        When there is none of that name, or a link lies in its place.
    EmbeddingsFileError
        When a file was written by something else, or by a later version.
    """
    stored = stored_catalogs(workspace)
    found = [each for name in wanted for each in _named(workspace, stored, name)]
    files = tuple({each.path: each for each in found}.values())
    for each in files:
        _check_ours(workspace, each)
    states = tuple(state_of(each.path) for each in files)
    caches = tuple(dict.fromkeys(path for each in files for path in _kept_of(workspace, each)))
    return Removal(workspace, files, states, caches)


def _named(
    workspace: Workspace, stored: Sequence[StoredEmbeddings], name: str
) -> list[StoredEmbeddings]:
    """Find what a name stands for among the files that are there; it is never made a path."""
    plain = name.removeprefix(f"{workspace.relative(workspace.cache)}/embeddings/").rstrip("/")
    catalog, _, file = plain.partition("/")
    own = [each for each in stored if each.folder.name == catalog]
    if not own:
        names = ", ".join(dict.fromkeys(shown(each.folder.name) for each in stored)) or "none"
        raise UsageError(f"no catalogue {shown(catalog)!r} is stored: remove one of {names}")
    if not file:
        return own
    fitting = [each for each in own if file in (each.name, each.name.removesuffix(".h5"))]
    if not fitting:
        names = ", ".join(shown(f"{catalog}/{each.name}") for each in own)
        raise UsageError(f"no file {shown(file)!r} of {shown(catalog)}: remove one of {names}")
    return fitting


def _check_ours(workspace: Workspace, stored: StoredEmbeddings) -> None:
    """Refuse links, files that were made by something else, and those of a later version."""
    name = shown(workspace.relative(stored.path))
    steps = (stored.path, stored.path.parent, stored.folder, stored.folder.parent)
    if any(step.is_symlink() for step in steps):
        raise UsageError(f"{name} is, or lies behind, a link, and nothing was removed: remove it")
    try:
        read_provenance(stored.path)
    except LaterFormat as error:
        raise LaterFormat(f"{error}, and nothing was removed") from error
    except EmbeddingsFileError as error:
        if not (OUR_NAME.fullmatch(stored.path.name) and is_plain_file(stored.path)):
            raise EmbeddingsFileError(
                f"{name} is no embeddings file, and nothing was removed: move it away, or name "
                "single files with --remove CATALOG/FILE"
            ) from error


def _kept_of(workspace: Workspace, stored: StoredEmbeddings) -> Iterator[Path]:
    """List what is kept between runs of a file's vectors as they are now."""
    try:
        embeddings = read_embeddings(stored.path)
    except EmbeddingsFileError:
        return  # unreadable, or not one row is computed
    start = f"{stored.path.parent.name}-{stored.path.stem}-"
    for path in _plain_files(workspace.cached_indexes):
        if path.name.startswith(start) and INDEX_ENDINGS.fullmatch(path.name[len(start) :]):
            record = _record_of(path.with_suffix(".json"))
            if record.get("identity") == embeddings.provenance.identity_sha256:
                yield path
    for folder in (
        workspace.cached_reductions,
        workspace.cached_clusterings,
        workspace.cached_robustness,
    ):
        for path in _plain_files(folder):
            if CACHE_NAME.fullmatch(path.name):
                key = _record_of(path).get("key")
                key = key.get("reduction", key) if isinstance(key, dict) else None
                if isinstance(key, dict) and key.get("embeddings") == embeddings.fingerprint:
                    array = path.with_suffix(".npy")
                    yield from (path, array) if is_plain_file(array) else (path,)


def _plain_files(folder: Path) -> list[Path]:
    """List the plain files of a folder that is no link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if is_plain_file(path)]


def _record_of(path: Path) -> dict[str, Any]:
    """Read the record of a kept array or index; empty where it is damaged or none."""
    try:
        if is_plain_file(path) and path.stat().st_size <= MOST_BYTES:
            return without_check_sum(read_json(path.read_bytes()))[0]
    except (OSError, ValueError):
        pass
    return {}
