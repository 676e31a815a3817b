"""The service behind page and REST: files searched, pictures opened, requests that wait."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from analyze.lookup.http.errors import Declined
from analyze.lookup.http.parameters import SearchRequest
from analyze.lookup.http.request_limiter import RequestLimiter
from analyze.lookup.service.served_catalog import SearchResult, ServedCatalog, ServeOptions
from analyze.lookup.service.served_files import ServedFiles
from analyze.lookup.workers.backbones import READY, Backbone, BackboneStatus
from analyze.lookup.workers.deadline import Deadline, TryAgain
from analyze.lookup.workers.picture_tasks import CheckDecodes, Open, Opened, Thumbnail
from analyze.lookup.workers.processes import Processes, TaskFailed
from analyze.neighbors.category_filter import Inside
from analyze.neighbors.indexes.index_cache import Progress
from analyze.neighbors.query import Query
from extract.command_line import counted_pictures
from extract.ids import shown
from extract.refusals import Refused
from extract.storage.embeddings import name_of
from extract.workspace import Workspace

log = logging.getLogger("sosie")

AT_WORK, WAITING = 2, 16
MOST_LIGHT_WAITING = 256
"""Pages without a look-up, and thumbnails, of which a page has many: each takes little."""

THUMBNAIL_BYTES = 64 << 20
SIZES = (256, 768)
"""Pixels of the longer side that pictures are shown at."""

AGAIN_SECONDS = 2
Found = TypeVar("Found")


class Service:
    """Finds similar products in one or more embeddings files of one catalogue.

    Parameters
    ----------
    workspace : Workspace
    paths : sequence of Path
        Embeddings files; the first is searched where none is named.
    options : ServeOptions
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
        progress: Progress | None = None,
    ) -> None:
        self._cataloged = Processes(1, "pictures")
        self._sent = Processes(AT_WORK, "uploads")
        self._embedders = Processes(1, "backbones")
        try:
            self._files = ServedFiles(workspace, paths, options, self._cataloged, progress)
        except BaseException:
            self._end_processes()
            raise
        self._backbones: dict[str, Backbone] = {}
        """By a backbone's identity."""
        self._looking = _WorkQueue(AT_WORK, WAITING, "look-up")
        self._embedding = _WorkQueue(AT_WORK, WAITING, "upload")
        self._drawing = _WorkQueue(AT_WORK, MOST_LIGHT_WAITING, "page")
        self._showing = _WorkQueue(1, MOST_LIGHT_WAITING, "thumbnail")
        self._thumbnails: OrderedDict[tuple[str, int, int, bool], bytes] = OrderedDict()
        self._thumbnail_bytes = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the files: the backbone's name, and more words where files share it."""
        return tuple(self._files.by_key)

    @property
    def catalogs(self) -> dict[str, ServedCatalog]:
        """The files by their keys, as they were read last."""
        return self._files.by_key

    def load_backbones(self) -> None:
        """Load the backbones before the first picture is sent, in the background."""
        for catalog in self.catalogs.values():
            self.status(catalog)

    def follow_files(self) -> None:
        """Read files again that change, in the background."""
        self._files.follow()

    def key(self, name: str | None) -> str:
        """Return the key of the file of this name; the first for None.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        return self._files.key(name)

    def changed(self, catalog: ServedCatalog) -> str | None:
        """Return why rows are served that the file no longer holds; None while it holds them."""
        return self._files.changed(catalog)

    def status(self, catalog: ServedCatalog) -> BackboneStatus:
        """Return whether pictures can be sent at this moment, and if not, why."""
        return self._backbone(catalog).status

    def status_on_page(self, catalog: ServedCatalog) -> BackboneStatus:
        """Return the same for a page; a load that failed a while ago is tried again."""
        backbone = self._backbone(catalog)
        backbone.try_again()
        return backbone.status

    def catalog(self, key: str | None) -> ServedCatalog:
        """Return the file of a key, as it was read last: a request keeps it to its end.

        Raises
        ------
        Declined
            404 where there is none of that name.
        """
        return self._files.catalog(key)

    async def look_up(self, search: SearchRequest, made: Callable[[SearchResult], Found]) -> Found:
        """Search by products of the catalogue; returns what ``made`` makes of the result.

        Raises
        ------
        Declined
        """
        catalog = self.catalog(search.model)
        queries = [catalog.query(each) for each in search.ids]

        def ask() -> Found:
            inside = catalog.inside(search.where)
            return made(SearchResult(catalog, search, inside, catalog.ask(queries, search, inside)))

        return await self._looking.do(ask)

    async def look_up_picture(
        self, content: bytes, search: SearchRequest, made: Callable[[SearchResult], Found]
    ) -> Found:
        """Search by a picture that was sent; returns what ``made`` makes of the result.

        Raises
        ------
        Declined
            422 for a picture that is refused, with the reason's code; 503 where it may go better in
            a moment, or its backbone cannot be loaded.
        """
        catalog = self.catalog(search.model)
        inside: Inside | None = None
        if search.where:  # before the picture is opened
            inside = await self._looking.do(lambda: catalog.inside(search.where))
        try:
            seen = search.seen and catalog.as_seen is not None
            deadline = Deadline()
            opened, vector = await self._embedding.do(
                lambda: self._embedded(catalog, content, seen, deadline), deadline
            )
        except Refused as refused:
            message = f"the picture is refused: {refused.reason.code} ({shown(refused.message)})"
            raise Declined(422, message[:300], refused.reason.code) from None
        except TaskFailed as failed:
            log.error("%s", shown(str(failed)))
            raise Declined(500, "the picture could not be embedded: see the log") from None
        if not vector.any():
            message = "the picture's vector is all zeros: nothing is similar to it"
            raise Declined(422, message, "no_direction")
        query = Query("picture", vector, None, None, opened.sha256, opened.fingerprint)

        def ask() -> Found:
            answers = catalog.ask([query], search, inside)
            return made(SearchResult(catalog, search, inside, answers, opened.thumbnail))

        return await self._looking.do(ask)

    async def run_heavy(self, work: Callable[[], Found]) -> Found:
        """Run work over many rows among the searches, in a thread; returns its result.

        Raises
        ------
        Declined
            503 when too many wait.
        """
        return await self._looking.do(work)

    async def run_light(self, work: Callable[[], Found]) -> Found:
        """Run short work in threads of its own, not behind the searches; returns its result.

        Raises
        ------
        Declined
            503 when too many wait.
        """
        return await self._drawing.do(work)

    async def thumbnail(
        self, catalog: ServedCatalog, row: int, pixels: int, *, seen: bool = False
    ) -> bytes:
        """Return a row's picture made small, whole or as the model saw it; JPEG.

        Raises
        ------
        Declined
            404 where it cannot be shown.
        """
        if seen and catalog.as_seen is None:
            message = "the file does not record how its model saw the pictures: leave seen out"
            raise Declined(404, message, "no_picture")
        key = catalog.version, row, pixels, seen
        if key in self._thumbnails:
            self._thumbnails.move_to_end(key)
            return self._thumbnails[key]
        stored = catalog.pictures.stored(row)
        if stored is None:
            raise Declined(404, "the pictures are not here: start with --images DIR", "no_picture")
        try:
            task = Thumbnail(stored, pixels, catalog.as_seen if seen else None)
            found: bytes = await self._showing.do(lambda: self._cataloged.ask(task))
        except Refused as refused:
            message = f"the picture cannot be shown: {refused.reason.code}"
            raise Declined(404, message, "no_picture") from None
        except TaskFailed as failed:
            log.error("%s", shown(str(failed)))
            raise Declined(500, "the picture could not be opened: see the log") from None
        self._keep(key, found)
        return found

    def about(self) -> list[dict[str, Any]]:
        """Return what is served, a file each."""
        return [catalog.about() for catalog in self.catalogs.values()]

    def text(self) -> str:
        """Return what is served as lines for people."""
        files = self.about()
        lines = [
            f"{name_of(each)} · {counted_pictures(each['n_images'])} · index {each['index']}: "
            f"{each['index_why']} · {each['file']}"
            for each in files
        ]
        if not all(each["pictures"] for each in files):
            elsewhere = "their folder is elsewhere, give --images DIR"
            lines.append(f"note: pictures are not shown: {elsewhere}")
        return "\n".join(lines)

    def close(self) -> None:
        """End the processes, the tasks that wait for one, and then the threads."""
        self._files.close()
        self._end_processes()
        for room in (self._looking, self._embedding, self._drawing, self._showing):
            room.close()

    def _end_processes(self) -> None:
        for processes in (self._sent, self._cataloged, self._embedders):
            processes.close()

    def _backbone(self, catalog: ServedCatalog) -> Backbone:
        source = catalog.source
        return self._backbones.setdefault(source.key, Backbone(source, self._embedders))

    def _embedded(
        self, catalog: ServedCatalog, content: bytes, seen: bool, deadline: Deadline
    ) -> tuple[Opened, np.ndarray]:
        backbone = self._backbone(catalog)
        if backbone.status.uploads != READY:  # what is no picture need not wait for it
            self._sent.ask(CheckDecodes(content), deadline=deadline)
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


class _WorkQueue:
    """Threads for one kind of work, with a limit of the requests that wait for them."""

    def __init__(self, at_work: int, waiting: int, name: str) -> None:
        self._limiter = RequestLimiter(at_work, waiting)
        self._threads = ThreadPoolExecutor(at_work, thread_name_prefix=name)

    async def do(self, work: Callable[[], Found], deadline: Deadline | None = None) -> Found:
        """Run work when its turn has come, unless its client has hung up; returns its result.

        Raises
        ------
        Declined
            503 when too many wait, or it took too long.
        """
        deadline = deadline or Deadline()
        async with self._limiter.entered(deadline.left()):
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
