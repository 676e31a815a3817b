"""The embeddings files that are served; each is read again once it has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyze.lookup.http.errors import Declined
from analyze.lookup.service.served_catalog import ServedCatalog, ServeOptions, stamp_of
from analyze.lookup.workers.processes import Processes
from analyze.measures.alignment import words_apart
from analyze.neighbors.indexes.index_cache import Progress
from extract.errors import EmbeddingsFileError, SosieError
from extract.files.file_lock import is_locked
from extract.ids import shown
from extract.machine.allocation import give_back_freed_memory
from extract.workspace import Workspace

log = logging.getLogger("sosie")

LOOK_SECONDS = 0.5
"""Between two looks at the files; one that changed between them is not settled yet."""

END_SECONDS = 5.0


@dataclass(frozen=True)
class Change:
    """A change of a file since the rows in memory were read.

    Parameters
    ----------
    stamp : tuple
        As it was seen last.
    why : str
        Why the rows in memory are still served; empty until that is known.
    refused : bool
        Whether it was read, and cannot be served as it is.
    """

    stamp: tuple[Any, ...]
    why: str = ""
    refused: bool = False


class _Ending(Exception):
    """The service ends, and nobody waits for an index any more."""


class ServedFiles:
    """Embeddings files by their keys; each is served as it was read until it is read again.

    A file may grow, be relabeled, damaged or removed meanwhile: its rows are in memory, and
    they are served until the changed file is complete, read and indexed.

    Parameters
    ----------
    workspace : Workspace
    paths : sequence of Path
    options : ServeOptions
    openers : Processes
        Processes that open the pictures of the catalogue.
    progress : callable, optional
        (rows added, rows) while an index is built.

    Raises
    ------
    SosieError
        When a file cannot be read, or lacks what the options name.
    """

    def __init__(
        self,
        workspace: Workspace,
        paths: Sequence[Path],
        options: ServeOptions,
        openers: Processes,
        progress: Progress | None = None,
    ) -> None:
        self._workspace, self._options, self._openers = workspace, options, openers
        self._catalogs = _by_key(
            [ServedCatalog(workspace, p, options, openers, progress) for p in paths]
        )
        self._changes: dict[Path, Change] = {}
        self._ending = threading.Event()
        self._following: threading.Thread | None = None

    @property
    def by_key(self) -> dict[str, ServedCatalog]:
        """The files by their keys, as they were read last; never changed, only replaced."""
        return self._catalogs

    def key(self, name: str | None) -> str:
        """Return the key of the file of this name; the first for None.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        return _key_in(self._catalogs, name)

    def catalog(self, name: str | None) -> ServedCatalog:
        """Return the file of this name, as it was read last.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        catalogs = self._catalogs
        return catalogs[_key_in(catalogs, name)]

    def changed(self, catalog: ServedCatalog) -> str | None:
        """Return why rows are served that the file no longer holds; None while it holds them."""
        change = self._changes.get(catalog.path)
        return None if change is None else change.why or "it has changed and is read again"

    def follow(self) -> None:
        """Read files again that change, from now on, in the background."""
        self._following = threading.Thread(target=self._follow, name="files", daemon=True)
        self._following.start()

    def close(self) -> None:
        """Stop reading files again."""
        self._ending.set()
        if self._following is not None:
            self._following.join(END_SECONDS)

    def _follow(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            for catalog in self._catalogs.values():
                try:
                    self._look_at(catalog)
                except _Ending:
                    return

    def _look_at(self, old: ServedCatalog) -> None:
        """Read a file again if it has changed, is settled, and was not refused as it is."""
        stamp, before = stamp_of(old.path), self._changes.get(old.path)
        if stamp == old.stamp:
            self._changes.pop(old.path, None)
        elif is_locked(old.path):
            self._changes[old.path] = Change(stamp, "a run is writing it, and is waited for")
        elif before is None or before.stamp != stamp:
            self._changes[old.path] = Change(stamp)
        elif not before.refused:
            self._read_again(old, stamp)

    def _read_again(self, old: ServedCatalog, stamp: tuple[Any, ...]) -> None:
        name = self._workspace.relative(old.path)
        try:
            new = self._read(old.path)
        except _Ending:
            raise
        except Exception as error:  # noqa: BLE001 - the rows in memory are sound, whatever it is
            if stamp_of(old.path) == stamp:
                known = isinstance(error, SosieError | OSError)
                why = str(error) if known else f"unexpected {type(error).__name__}: {error}"
                why = shown(why.replace(str(old.path), name))[:500]
                self._changes[old.path] = Change(stamp, why, refused=True)
                log.warning("%s changed, and its rows from before are served: %s", name, why)
            return
        kept = [new if catalog is old else catalog for catalog in self._catalogs.values()]
        self._catalogs = _by_key(kept)
        self._changes.pop(old.path, None)
        log.warning("%s changed and was read again: %s pictures", name, len(new.embeddings))
        give_back_freed_memory()

    def _read(self, path: Path) -> ServedCatalog:
        new = ServedCatalog(
            self._workspace, path, self._options, self._openers, self._unless_ending
        )
        damaged = new.embeddings.left_out.get("damaged")
        if damaged:
            raise EmbeddingsFileError(
                f"{path}: {damaged} rows do not fit their check sums: run python -m extract again"
            )
        return new

    def _unless_ending(self, _done: int, _rows: int) -> None:
        if self._ending.is_set():
            raise _Ending


def _key_in(catalogs: Mapping[str, ServedCatalog], name: str | None) -> str:
    if name is None or name in catalogs:
        return name or next(iter(catalogs))
    for key, catalog in catalogs.items():  # keys in links of earlier versions
        made = catalog.embeddings.provenance
        if name == f"{made.model}-{made.short_identity}":
            return key
    have = ", ".join(catalogs)
    raise Declined(404, f"no backbone {shown(name)[:100]!r} is served: there are {have}")


def _by_key(catalogs: Sequence[ServedCatalog]) -> dict[str, ServedCatalog]:
    """Name each file by its backbone, and by what distinguishes it from others of that."""
    made = [catalog.embeddings.provenance for catalog in catalogs]
    models = [each.model for each in made]
    keys = []
    for each, words in zip(made, words_apart(made), strict=True):
        random = each.weights == "random" and models.count(each.model) > 1
        plain = [word.replace(" ", "-") for word in words]  # a key stands in addresses
        keys.append("-".join([each.model, *["random"] * random, *plain]))
    return {
        key if keys.count(key) == 1 else f"{key}-{each.short_identity}": catalog
        for key, each, catalog in zip(keys, made, catalogs, strict=True)
    }
