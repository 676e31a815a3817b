"""The service behind page and REST: files that are asked, pictures that are opened, who waits."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from analyze.alignment import words_apart
from analyze.index_file import Progress
from analyze.lookup.admission import Admission
from analyze.lookup.asking import Asked
from analyze.lookup.declined import Declined
from analyze.lookup.embedding import Embed, Load, Seeing
from analyze.lookup.opening import Open, Opened, Thumbnail
from analyze.lookup.processes import Processes, TaskFailed
from analyze.lookup.shelf import Shelf, Wish, stamp_of
from analyze.query import Query
from analyze.similar import Answer
from extract.catalog import shown
from extract.errors import SosieError, UsageError
from extract.refusals import Refused
from extract.workspace import Workspace

log = logging.getLogger("sosie")

AT_WORK, WAITING = 2, 16
MOST_THUMBNAILS_WAITING = 256
"""A page asks for many at once, and each takes little."""

THUMBNAIL_BYTES = 64 << 20
SIZES = (256, 768)
"""Pixels of the longer side that pictures are shown at."""

AGAIN_SECONDS = 2
Found = TypeVar("Found")


class Service:
    """Answers what looks alike, over one or several embeddings files of one catalogue.

    Parameters
    ----------
    workspace : Workspace
    paths : sequence of Path
        Embeddings files; the first is asked where none is named.
    wish : Wish
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
        progress: Progress | None = None,
    ) -> None:
        self._workspace, self._wish = workspace, wish
        self._cataloged = Processes(1, "pictures")
        self._sent = Processes(AT_WORK, "uploads")
        self._backbones = Processes(1, "backbones")
        try:
            shelves = [Shelf(workspace, path, wish, self._cataloged, progress) for path in paths]
        except BaseException:
            self._end_processes()
            raise
        self._shelves = _by_key(shelves)
        self._renewing: dict[str, asyncio.Task[None]] = {}
        self._seeing: dict[str, Seeing | None] = {}
        """By a backbone's identity; None for one that is not to be had."""
        self._looking = _Room(AT_WORK, WAITING, "look-up")
        self._embedding = _Room(AT_WORK, WAITING, "upload")
        self._showing = _Room(1, MOST_THUMBNAILS_WAITING, "thumbnail")
        self._thumbnails: OrderedDict[tuple[str, int, int, bool], bytes] = OrderedDict()
        self._thumbnail_bytes = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """What files are asked by: the backbone's name, and words where several share it."""
        return tuple(self._shelves)

    @property
    def shelves(self) -> dict[str, Shelf]:
        """The files by their keys, as they were read last."""
        return dict(self._shelves)

    def load_backbones(self) -> None:
        """Load the backbones before the first picture comes, in the background."""
        threading.Thread(target=self._load_backbones, name="backbones", daemon=True).start()

    def key(self, asked: str | None) -> str:
        """Give the key of the file that is asked; the first without a wish.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        if asked is None or asked in self._shelves:
            return asked or self.keys[0]
        made = {key: shelf.embeddings.provenance for key, shelf in self._shelves.items()}
        for key, each in made.items():  # what addresses said that were kept from before
            if asked == f"{each.model}-{each.short_identity}":
                return key
        have = ", ".join(self._shelves)
        raise Declined(404, f"no backbone {shown(asked)[:100]!r} is served: there are {have}")

    def uploads(self, key: str) -> str:
        """Say whether pictures can be sent: ``ready``, ``loading`` or ``unavailable``."""
        source = self._shelves[key].source.key
        if source not in self._seeing:
            return "loading"
        return "unavailable" if self._seeing[source] is None else "ready"

    def shelf(self, key: str | None) -> Shelf:
        """Give the file that is asked, if it is still the one that was read.

        Raises
        ------
        Declined
            404 where there is none of that name; 409 while a file that changed is read again.
        """
        key = self.key(key)
        shelf = self._shelves[key]
        if stamp_of(shelf.path) == shelf.stamp:
            return shelf
        if key not in self._renewing:
            self._renewing[key] = asyncio.create_task(self._renew(key, shelf))
        message = "the embeddings changed and are read again: try again in a moment"
        raise Declined(409, message, retry_after=AGAIN_SECONDS)

    async def look_up(self, asked: Asked) -> tuple[Shelf, tuple[Answer, ...]]:
        """Find what looks like products of the catalogue.

        Raises
        ------
        Declined
        """
        shelf = self.shelf(asked.model)
        queries = [shelf.query(each) for each in asked.ids]
        return shelf, await self._ask(shelf, queries, asked)

    async def look_up_picture(
        self, content: bytes, asked: Asked
    ) -> tuple[Shelf, bytes, tuple[Answer, ...]]:
        """Find what looks like a picture that was sent; gives it small, as JPEG, too.

        Raises
        ------
        Declined
            422 for a picture that is refused, with the reason's code.
        """
        shelf = self.shelf(asked.model)
        confined(shelf, asked)  # before the picture is opened
        try:
            seen = asked.seen and shelf.as_seen is not None
            opened, vector = await self._embedding.do(lambda: self._embedded(shelf, content, seen))
        except Refused as refused:
            message = f"the picture is refused: {refused.reason.code} ({shown(refused.message)})"
            raise Declined(422, message[:300], refused.reason.code) from None
        except TaskFailed as failed:
            log.error("%s", shown(str(failed)))
            raise Declined(500, "the picture could not be embedded: the log says why") from None
        if not vector.any():
            message = "the picture's vector is all zeros: nothing is similar to it"
            raise Declined(422, message, "no_direction")
        query = Query("picture", vector, None, None, opened.sha256, opened.fingerprint)
        return shelf, opened.thumbnail, await self._ask(shelf, [query], asked)

    async def apart(self, work: Callable[[], Found]) -> Found:
        """Do what takes its time over many rows beside the look-ups, not in the way of all.

        Raises
        ------
        Declined
            503 when too many wait.
        """
        return await self._looking.do(work)

    async def thumbnail(self, shelf: Shelf, row: int, pixels: int, *, seen: bool = False) -> bytes:
        """Make a row's picture small, whole or as the model saw it, and encode it again; JPEG.

        Raises
        ------
        Declined
            404 where it cannot be shown.
        """
        if seen and shelf.as_seen is None:
            message = "the file does not say how its model saw the pictures: leave seen out"
            raise Declined(404, message, "no_picture")
        key = shelf.version, row, pixels, seen
        if key in self._thumbnails:
            self._thumbnails.move_to_end(key)
            return self._thumbnails[key]
        stored = shelf.pictures.stored(row)
        if stored is None:
            raise Declined(404, "the pictures are not here: start with --images DIR", "no_picture")
        try:
            task = Thumbnail(stored, pixels, shelf.as_seen if seen else None)
            found: bytes = await self._showing.do(lambda: self._cataloged.ask(task))
        except Refused as refused:
            message = f"the picture cannot be shown: {refused.reason.code}"
            raise Declined(404, message, "no_picture") from None
        except TaskFailed as failed:
            log.error("%s", shown(str(failed)))
            raise Declined(500, "the picture could not be opened: the log says why") from None
        self._keep(key, found)
        return found

    def close(self) -> None:
        """End the processes that open pictures."""
        for room in (self._looking, self._embedding, self._showing):
            room.close()
        self._end_processes()

    def _end_processes(self) -> None:
        for processes in (self._sent, self._cataloged, self._backbones):
            processes.close()

    async def _ask(
        self, shelf: Shelf, queries: Sequence[Query], asked: Asked
    ) -> tuple[Answer, ...]:
        def ask() -> tuple[Answer, ...]:
            inside = confined(shelf, asked)
            return shelf.ask(queries, top=asked.top, inside=inside, diverse=asked.diverse)

        return await self._looking.do(ask)

    async def _renew(self, key: str, old: Shelf) -> None:
        def read() -> Shelf:
            return Shelf(self._workspace, old.path, self._wish, self._cataloged)

        try:
            shelf = await asyncio.to_thread(read)
            self._shelves[key] = shelf
            log.warning("%s changed and was read again", self._workspace.relative(old.path))
        except (SosieError, OSError) as error:
            log.warning("%s", shown(str(error)))  # a run may be in the middle of writing it
            await asyncio.sleep(1)
        finally:
            del self._renewing[key]

    def _load_backbones(self) -> None:
        for shelf in self._shelves.values():
            with suppress(Declined):
                self._seeing_of(shelf)

    def _seeing_of(self, shelf: Shelf) -> Seeing:
        """Say how a file's backbone wants its pictures; it is loaded when first asked for."""
        source = shelf.source
        if source.key not in self._seeing:
            try:
                self._seeing[source.key] = self._backbones.ask(Load(source))
            except (TaskFailed, Refused) as failed:
                self._seeing[source.key] = None
                log.warning("no picture can be sent to %s: %s", shelf.model, failed)
        found = self._seeing[source.key]
        if found is None:
            message = f"pictures cannot be embedded by {shelf.model} here: the log says why"
            raise Declined(503, message, "no_backbone")
        return found

    def _embedded(self, shelf: Shelf, content: bytes, seen: bool) -> tuple[Opened, np.ndarray]:
        seeing = self._seeing_of(shelf)

        def embedded(opened: Opened) -> tuple[Opened, np.ndarray]:
            return opened, self._backbones.ask(Embed(shelf.source, opened.decoded))

        task = Open(content, seeing.preprocessing, seeing.decoder, seen)
        found: tuple[Opened, np.ndarray] = self._sent.ask(task, embedded)
        return found

    def _keep(self, key: tuple[str, int, int, bool], found: bytes) -> None:
        if key not in self._thumbnails:
            self._thumbnails[key] = found
            self._thumbnail_bytes += len(found)
        while self._thumbnail_bytes > THUMBNAIL_BYTES:
            _, oldest = self._thumbnails.popitem(last=False)
            self._thumbnail_bytes -= len(oldest)


class _Room:
    """Threads that do one kind of work, and the door to them."""

    def __init__(self, at_work: int, waiting: int, name: str) -> None:
        self._door = Admission(at_work, waiting)
        self._threads = ThreadPoolExecutor(at_work, thread_name_prefix=name)

    async def do(self, work: Callable[[], Found]) -> Found:
        """Do it when its turn has come.

        Raises
        ------
        Declined
            503 when too many wait.
        """
        async with self._door.entered():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)


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


def confined(shelf: Shelf, asked: Asked) -> Any:
    """Find the rows that a look-up is confined to.

    Raises
    ------
    Declined
        422 where there is no such level or value.
    """
    try:
        return shelf.inside(asked.where)
    except UsageError as error:
        raise Declined(422, str(error).replace("--where", "where")[:300]) from None
