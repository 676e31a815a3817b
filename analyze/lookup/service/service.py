"""The service behind page and REST: files that are asked, pictures that are opened, who waits."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from analyze.lookup.http.errors import Declined
from analyze.lookup.http.parameters import Asked
from analyze.lookup.http.request_limiter import Admission
from analyze.lookup.service.served_catalog import Looked, Shelf, Wish
from analyze.lookup.service.served_files import ServedFiles
from analyze.lookup.workers.backbones import READY, Backbone, Standing
from analyze.lookup.workers.deadline import Deadline, TryAgain
from analyze.lookup.workers.picture_tasks import LookAt, Open, Opened, Thumbnail
from analyze.lookup.workers.processes import Processes, TaskFailed
from analyze.neighbors.category_filter import Inside
from analyze.neighbors.indexes.index_cache import Progress
from analyze.neighbors.query import Query
from extract.ids import shown
from extract.refusals import Refused
from extract.workspace import Workspace

log = logging.getLogger("sosie")

AT_WORK, WAITING = 2, 16
MOST_LIGHT_WAITING = 256
"""Pages without a look-up, and thumbnails, of which a page asks for many: each takes little."""

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
        self._cataloged = Processes(1, "pictures")
        self._sent = Processes(AT_WORK, "uploads")
        self._embedders = Processes(1, "backbones")
        try:
            self._files = ServedFiles(workspace, paths, wish, self._cataloged, progress)
        except BaseException:
            self._end_processes()
            raise
        self._backbones: dict[str, Backbone] = {}
        """By a backbone's identity."""
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
        for shelf in self.shelves.values():
            self.standing(shelf)

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

    def changed(self, shelf: Shelf) -> str | None:
        """Say why rows are served that are not those of the file any more; None while they are."""
        return self._files.changed(shelf)

    def standing(self, shelf: Shelf) -> Standing:
        """Say whether pictures can be sent at this moment, and if not, why."""
        return self._backbone(shelf).standing

    def standing_on_page(self, shelf: Shelf) -> Standing:
        """Say the same to a person; a load that failed a while ago is tried again."""
        backbone = self._backbone(shelf)
        backbone.try_again()
        return backbone.standing

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
            422 for a picture that is refused, with the reason's code; 503 where it may go better in
            a moment, or its backbone cannot be loaded.
        """
        shelf = self.shelf(asked.model)
        inside: Inside | None = None
        if asked.where:  # before the picture is opened
            inside = await self._looking.do(lambda: shelf.inside(asked.where))
        try:
            seen = asked.seen and shelf.as_seen is not None
            deadline = Deadline()
            opened, vector = await self._embedding.do(
                lambda: self._embedded(shelf, content, seen, deadline), deadline
            )
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
        """End the processes, and with them whoever waits for one; then the threads."""
        self._files.close()
        self._end_processes()
        for room in (self._looking, self._embedding, self._drawing, self._showing):
            room.close()

    def _end_processes(self) -> None:
        for processes in (self._sent, self._cataloged, self._embedders):
            processes.close()

    def _backbone(self, shelf: Shelf) -> Backbone:
        source = shelf.source
        return self._backbones.setdefault(source.key, Backbone(source, self._embedders))

    def _embedded(
        self, shelf: Shelf, content: bytes, seen: bool, deadline: Deadline
    ) -> tuple[Opened, np.ndarray]:
        backbone = self._backbone(shelf)
        if backbone.standing.uploads != READY:  # what is no picture need not wait for it
            self._sent.ask(LookAt(content), deadline=deadline)
        seeing = backbone.seeing(deadline)

        def embedded(opened: Opened) -> tuple[Opened, np.ndarray]:
            return opened, backbone.embed(opened.decoded, deadline)

        task = Open(content, seeing.preprocessing, seeing.decoder, seen)
        found: tuple[Opened, np.ndarray] = self._sent.ask(task, embedded, deadline)
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

    async def do(self, work: Callable[[], Found], deadline: Deadline | None = None) -> Found:
        """Do it when its turn has come; not if whoever asked has gone by then.

        Raises
        ------
        Declined
            503 when too many wait, or it took too long.
        """
        deadline = deadline or Deadline()
        async with self._door.entered(deadline.left()):
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            except TryAgain as late:
                log.warning("an answer was given up: %s", shown(str(late)))
                message = "it took too long here, or was ended: try again in a moment"
                raise Declined(503, message, retry_after=AGAIN_SECONDS) from None
            except asyncio.CancelledError:
                deadline.end()
                raise

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
