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
from typing import TypeVar

import numpy as np

from analyze.categories import Inside
from analyze.index_file import Progress
from analyze.lookup.admission import Admission
from analyze.lookup.asking import Asked
from analyze.lookup.declined import Declined
from analyze.lookup.embedding import Embed, Load, Seeing
from analyze.lookup.opening import Open, Opened, Thumbnail
from analyze.lookup.processes import Processes, TaskFailed
from analyze.lookup.served_files import ServedFiles
from analyze.lookup.shelf import Looked, Shelf, Wish
from analyze.query import Query
from extract.catalog import shown
from extract.refusals import Refused
from extract.workspace import Workspace

log = logging.getLogger("sosie")

AT_WORK, WAITING = 2, 16
MOST_LIGHT_WAITING = 256
"""Pages without a look-up, and thumbnails, of which a page asks for many: each takes little."""

THUMBNAIL_BYTES = 64 << 20
SIZES = (256, 768)
"""Pixels of the longer side that pictures are shown at."""

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
        self._cataloged = Processes(1, "pictures")
        self._sent = Processes(AT_WORK, "uploads")
        self._backbones = Processes(1, "backbones")
        try:
            self._files = ServedFiles(workspace, paths, wish, self._cataloged, progress)
        except BaseException:
            self._end_processes()
            raise
        self._seeing: dict[str, Seeing | None] = {}
        """By a backbone's identity; None for one that is not to be had."""
        self._looking = _Room(AT_WORK, WAITING, "look-up")
        self._embedding = _Room(AT_WORK, WAITING, "upload")
        self._drawing = _Room(AT_WORK, MOST_LIGHT_WAITING, "page")
        self._showing = _Room(1, MOST_LIGHT_WAITING, "thumbnail")
        self._thumbnails: OrderedDict[tuple[str, int, int, bool], bytes] = OrderedDict()
        self._thumbnail_bytes = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """What files are asked by: the backbone's name, and words where several share it."""
        return tuple(self._files.by_key)

    @property
    def shelves(self) -> dict[str, Shelf]:
        """The files by their keys, as they were read last."""
        return self._files.by_key

    def load_backbones(self) -> None:
        """Load the backbones before the first picture comes, in the background."""
        threading.Thread(target=self._load_backbones, name="backbones", daemon=True).start()

    def follow_files(self) -> None:
        """Read files again that change, in the background."""
        self._files.follow()

    def key(self, asked: str | None) -> str:
        """Give the key of the file that is asked; the first without a wish.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        return self._files.key(asked)

    def changed(self, key: str) -> str | None:
        """Say why rows are served that are not those of the file any more; None while they are."""
        return self._files.changed(self.shelves[key])

    def uploads(self, key: str) -> str:
        """Say whether pictures can be sent: ``ready``, ``loading`` or ``unavailable``."""
        source = self.shelves[key].source.key
        if source not in self._seeing:
            return "loading"
        return "unavailable" if self._seeing[source] is None else "ready"

    def shelf(self, key: str | None) -> Shelf:
        """Give the file that is asked, as it was read last: a request keeps it to its end.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        return self._files.shelf(key)

    async def look_up(self, asked: Asked, made: Callable[[Looked], Found]) -> Found:
        """Find what looks like products of the catalogue, and make something of it there.

        Raises
        ------
        Declined
        """
        shelf = self.shelf(asked.model)
        queries = [shelf.query(each) for each in asked.ids]

        def ask() -> Found:
            inside = shelf.inside(asked.where)
            return made(Looked(shelf, asked, inside, shelf.ask(queries, asked, inside)))

        return await self._looking.do(ask)

    async def look_up_picture(
        self, content: bytes, asked: Asked, made: Callable[[Looked], Found]
    ) -> Found:
        """Find what looks like a picture that was sent, and make something of it there.

        Raises
        ------
        Declined
            422 for a picture that is refused, with the reason's code.
        """
        shelf = self.shelf(asked.model)
        inside: Inside | None = None
        if asked.where:  # before the picture is opened
            inside = await self._looking.do(lambda: shelf.inside(asked.where))
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

        def ask() -> Found:
            answers = shelf.ask([query], asked, inside)
            return made(Looked(shelf, asked, inside, answers, opened.thumbnail))

        return await self._looking.do(ask)

    async def apart(self, work: Callable[[], Found]) -> Found:
        """Do what takes its time over many rows beside the look-ups, not in the way of all.

        Raises
        ------
        Declined
            503 when too many wait.
        """
        return await self._looking.do(work)

    async def drawn(self, work: Callable[[], Found]) -> Found:
        """Draw a page that takes next to no time, beside the look-ups and not behind them.

        Raises
        ------
        Declined
            503 when too many wait.
        """
        return await self._drawing.do(work)

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
        for room in (self._looking, self._embedding, self._drawing, self._showing):
            room.close()
        self._files.close()
        self._end_processes()

    def _end_processes(self) -> None:
        for processes in (self._sent, self._cataloged, self._backbones):
            processes.close()

    def _load_backbones(self) -> None:
        for shelf in self.shelves.values():
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
