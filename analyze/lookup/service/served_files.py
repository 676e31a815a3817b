"""The files that are served: asked as they were read, and read again once they have changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyze.lookup.http.errors import Declined
from analyze.lookup.service.served_catalog import Shelf, Wish, stamp_of
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
    """What has become of a file since the rows in hand were read.

    Parameters
    ----------
    stamp : tuple
        As it was seen last.
    why : str
        Why the rows in hand are still served; empty while that is about to be found out.
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

    A file may grow, be relabelled, damaged or taken away meanwhile: its rows are in memory, and
    they are asked until what has become of it is whole, read and indexed.

    Parameters
    ----------
    workspace : Workspace
    paths : sequence of Path
    wish : Wish
    openers : Processes
        Who opens the catalogue's pictures.
    progress : callable, optional
        (rows added, rows) while an index is built.

    Raises
    ------
    SosieError
        When a file cannot be read, or has not what is wished for.
    """

    def __init__(
        self,
        workspace: Workspace,
        paths: Sequence[Path],
        wish: Wish,
        openers: Processes,
        progress: Progress | None = None,
    ) -> None:
        self._workspace, self._wish, self._openers = workspace, wish, openers
        self._shelves = _by_key([Shelf(workspace, p, wish, openers, progress) for p in paths])
        self._changes: dict[Path, Change] = {}
        self._ending = threading.Event()
        self._following: threading.Thread | None = None

    @property
    def by_key(self) -> dict[str, Shelf]:
        """The files by their keys, as they were read last; never changed, only replaced."""
        return self._shelves

    def key(self, asked: str | None) -> str:
        """Give the key of the file that is asked; the first without a wish.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        return _key_in(self._shelves, asked)

    def shelf(self, asked: str | None) -> Shelf:
        """Give the file that is asked, as it was read last.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        shelves = self._shelves
        return shelves[_key_in(shelves, asked)]

    def changed(self, shelf: Shelf) -> str | None:
        """Say why rows are served that are not those of the file any more; None while they are."""
        change = self._changes.get(shelf.path)
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
            for shelf in self._shelves.values():
                try:
                    self._look_at(shelf)
                except _Ending:
                    return

    def _look_at(self, old: Shelf) -> None:
        """Take a file anew if it has changed, is settled, and is not what was refused already."""
        stamp, before = stamp_of(old.path), self._changes.get(old.path)
        if stamp == old.stamp:
            self._changes.pop(old.path, None)
        elif is_locked(old.path):
            self._changes[old.path] = Change(stamp, "a run is writing it, and is waited for")
        elif before is None or before.stamp != stamp:
            self._changes[old.path] = Change(stamp)
        elif not before.refused:
            self._read_again(old, stamp)

    def _read_again(self, old: Shelf, stamp: tuple[Any, ...]) -> None:
        name = self._workspace.relative(old.path)
        try:
            new = self._read(old.path)
        except _Ending:
            raise
        except Exception as error:  # noqa: BLE001 - the rows in hand are sound, whatever it is
            if stamp_of(old.path) == stamp:
                known = isinstance(error, SosieError | OSError)
                why = str(error) if known else f"unexpected {type(error).__name__}: {error}"
                why = shown(why.replace(str(old.path), name))[:500]
                self._changes[old.path] = Change(stamp, why, refused=True)
                log.warning("%s changed, and its rows from before are served: %s", name, why)
            return
        kept = [new if shelf is old else shelf for shelf in self._shelves.values()]
        self._shelves = _by_key(kept)
        self._changes.pop(old.path, None)
        log.warning("%s changed and was read again: %s pictures", name, len(new.embeddings))
        give_back_freed_memory()

    def _read(self, path: Path) -> Shelf:
        new = Shelf(self._workspace, path, self._wish, self._openers, self._unless_ending)
        damaged = new.embeddings.left_out.get("damaged")
        if damaged:
            raise EmbeddingsFileError(
                f"{path}: {damaged} rows do not fit their check sums: run python -m extract again"
            )
        return new

    def _unless_ending(self, _done: int, _rows: int) -> None:
        if self._ending.is_set():
            raise _Ending


def _key_in(shelves: Mapping[str, Shelf], asked: str | None) -> str:
    if asked is None or asked in shelves:
        return asked or next(iter(shelves))
    for key, shelf in shelves.items():  # what addresses said that were kept from before
        made = shelf.embeddings.provenance
        if asked == f"{made.model}-{made.short_identity}":
            return key
    have = ", ".join(shelves)
    raise Declined(404, f"no backbone {shown(asked)[:100]!r} is served: there are {have}")


def _by_key(shelves: Sequence[Shelf]) -> dict[str, Shelf]:
    """Name each file by its backbone, and by what tells it from others of that."""
    made = [shelf.embeddings.provenance for shelf in shelves]
    models = [each.model for each in made]
    keys = []
    for each, words in zip(made, words_apart(made), strict=True):
        random = each.weights == "random" and models.count(each.model) > 1
        plain = [word.replace(" ", "-") for word in words]  # a key stands in addresses
        keys.append("-".join([each.model, *["random"] * random, *plain]))
    return {
        key if keys.count(key) == 1 else f"{key}-{each.short_identity}": shelf
        for key, each, shelf in zip(keys, made, shelves, strict=True)
    }
