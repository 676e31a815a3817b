"""One embeddings file made ready for searches, and proof that it is still the one on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.lookup.http.errors import Declined
from analyze.lookup.http.parameters import SearchRequest
from analyze.lookup.workers.embedding_tasks import BackboneSource
from analyze.lookup.workers.picture_tasks import Stored, TakeFingerprint
from analyze.lookup.workers.processes import Processes, TaskFailed
from analyze.measures.levels import choose_level
from analyze.neighbors.category_filter import Inside, exact_inside, rows_inside
from analyze.neighbors.indexes.index_cache import OpenedIndex, Progress, open_index
from analyze.neighbors.indexes.index_choice import wanted_index
from analyze.neighbors.indexes.index_types import FLAT
from analyze.neighbors.query import Query
from analyze.neighbors.similar import Answer, LookUp, name_column
from analyze.neighbors.similar_result import SimilarProducts
from analyze.pictures.duplicates import Fingerprint
from analyze.pictures.model_input import as_seen
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation.palette import places_of
from analyze.reduction.stored_maps import StoredMap, stored_maps
from extract.catalog.catalog import Level
from extract.errors import EmbeddingsFileError, UsageError
from extract.files.private_memory import state_of
from extract.ids import shown
from extract.refusals import Refused
from extract.storage.embeddings import EmbeddingSet
from extract.storage.embeddings_file import read_embeddings
from extract.storage.labels_file import labels_path
from extract.workspace import Workspace

MOST_LOOK_UPS = 8
KEPT_BYTES = 256 << 20
"""Of copies of the rows inside categories, which are kept for the next search there."""


@dataclass(frozen=True)
class ServeOptions:
    """Options by which every file is made ready.

    Parameters
    ----------
    images : Path or None
        Where the pictures are, if outside of the workspace.
    level, name_column : str or None
    index : str
    index_dims : int or None
    recall : float
    weights : Path or None
    """

    images: Path | None = None
    level: str | None = None
    name_column: str | None = None
    index: str = "auto"
    index_dims: int | None = None
    recall: float = 0.98
    weights: Path | None = None


@dataclass(frozen=True)
class IsolatedPictures(PictureFolder):
    """Pictures with their fingerprints taken in another process: they may be harmful files."""

    openers: Processes | None = None

    def stored(self, row: int) -> Stored | None:
        """Return where a row's picture is; None where no folder may be opened."""
        if self.root is None:
            return None
        known = self.embeddings.content_sha256
        sha256 = known[row].tobytes() if known is not None and known[row].any() else None
        return Stored(self.root, (self.embeddings.paths or self.embeddings.ids)[row], sha256)

    def fingerprint(self, row: int) -> Fingerprint | None:
        """Take the fingerprint of a row's picture; None where it cannot be had."""
        stored = self.stored(row)
        if stored is None or self.openers is None:
            return None
        try:
            found: Fingerprint = self.openers.ask(TakeFingerprint(stored))
        except (Refused, TaskFailed):
            return None
        return found


class ServedCatalog:
    """One embeddings file made ready for searches.

    Parameters
    ----------
    workspace : Workspace
    path : Path
        Of the embeddings file.
    options : ServeOptions
    openers : Processes
        Processes that open the pictures of the catalogue.
    progress : callable, optional
        (rows added, rows) while an index is built.

    Raises
    ------
    SosieError
        When the file cannot be read, or lacks what the options name.
    """

    def __init__(
        self,
        workspace: Workspace,
        path: Path,
        options: ServeOptions,
        openers: Processes,
        progress: Progress | None = None,
    ) -> None:
        self.path, self._workspace = path, workspace
        self.stamp = stamp_of(path)
        self.embeddings: EmbeddingSet = read_embeddings(path)
        folder = PictureFolder.of(self.embeddings, workspace, options.images)
        self.pictures = IsolatedPictures(self.embeddings, folder.root, openers=openers)
        self.as_seen = as_seen(self.embeddings.provenance.identity)
        self.names = name_column(self.embeddings, options.name_column)
        self.level: Level | None = choose_level(
            self.embeddings.levels, options.level, self.embeddings.multi_labels
        )
        choice = wanted_index(
            options.index, options.index_dims, *self.embeddings.vectors.shape, recall=options.recall
        )
        self.opened: OpenedIndex = open_index(
            self.embeddings, path, workspace.cached_indexes, choice, options.recall, progress
        )
        self.source = BackboneSource(
            self.embeddings.provenance, options.weights, workspace.cached_backbones
        )
        self._all = LookUp(self.embeddings, self.pictures, index=self.opened.index)
        self._inside: OrderedDict[tuple[str, ...], LookUp] = OrderedDict()
        self._turn = threading.Lock()
        self._maps: tuple[tuple[int, ...] | None, tuple[StoredMap, ...]] | None = None
        self.places = places_of(self.level) if self.level else []
        """Of each class among the colors, -1 for gray."""
        self._counts = {level.name: level_counts(level) for level in self.embeddings.levels}
        self.version = self.embeddings.fingerprint[:16]
        """Distinguishes these very rows from others that the file may come to hold."""
        self.rows_by_id = {row_id: row for row, row_id in enumerate(self.embeddings.ids)}
        if stamp_of(path) != self.stamp:
            raise EmbeddingsFileError(f"{path} changed while it was read: try again")

    @property
    def model(self) -> str:
        """The backbone's name."""
        return self.embeddings.provenance.model

    @property
    def name(self) -> str:
        """The backbone's name and the geometry, for people."""
        return self.embeddings.provenance.name

    @property
    def maps(self) -> tuple[StoredMap, ...]:
        """The maps of these rows that are stored by now."""
        folder = self._workspace.cached_reductions
        stamp = state_of(folder)
        if self._maps is None or self._maps[0] != stamp:
            self._maps = stamp, stored_maps(folder, self.embeddings)
        return self._maps[1]

    def row(self, row_id: str) -> int:
        """Find the row of an id.

        Raises
        ------
        Declined
            404 where there is none.
        """
        row = self.rows_by_id.get(row_id)
        if row is None:
            raise Declined(404, f"no product of the id {shown(row_id)[:100]!r} is here")
        return row

    def counts(self, level: Level) -> np.ndarray:
        """Give the pictures of each category of a level; ndarray of int."""
        return self._counts[level.name]

    def query(self, row_id: str) -> Query:
        """Return the query by a product of the catalogue.

        Raises
        ------
        Declined
            404 where there is none; 422 where its vector is all zeros.
        """
        row = self.row(row_id)
        vector = self.embeddings.vectors[row]
        if not vector.any():
            message = f"the vector of {shown(row_id)[:100]!r} is all zeros: nothing is similar"
            raise Declined(422, message, "no_direction")
        return Query(row_id, vector, row)

    def inside(self, where: Sequence[str]) -> Inside | None:
        """Find the rows that a search is confined to; slow over many rows.

        Raises
        ------
        Declined
            422 where there is no such level or value.
        """
        try:
            return rows_inside(self.embeddings, where)
        except UsageError as error:
            raise Declined(422, str(error).replace("--where", "where")[:300]) from None

    def ask(
        self, queries: Sequence[Query], search: SearchRequest, inside: Inside | None
    ) -> tuple[Answer, ...]:
        """Find the products most similar to each query."""
        look_up = self._all if inside is None else self._look_up_inside(inside)
        return tuple(look_up.ask(each, top=search.top, diverse=search.diverse) for each in queries)

    def json(
        self, answers: Sequence[Answer], search: SearchRequest, inside: Inside | None
    ) -> dict[str, Any]:
        """Spell answers as the command does."""
        opened = exact_inside(inside, len(self.embeddings)) if inside else self.opened
        found = SimilarProducts(
            self.embeddings, self.names, opened, tuple(answers), search.top, inside, search.diverse
        )
        return {"file": self._workspace.relative(self.path), **found.to_json()}

    def about(self) -> dict[str, Any]:
        """Describe what is served, as the health route reports it."""
        provenance = self.embeddings.provenance
        return {
            "file": self._workspace.relative(self.path),
            **provenance.to_json(),
            "n_images": len(self.embeddings),
            "n_dims": int(self.embeddings.vectors.shape[1]),
            "index": self.opened.index.name if self.opened.index else FLAT,
            "index_why": self.opened.why,
            "recall_at_10": self.opened.recall,
            "levels": [level.name for level in self.embeddings.levels],
            "pictures": self.pictures.root is not None,
        }

    def _look_up_inside(self, inside: Inside) -> LookUp:
        """Return the search of the rows inside; kept for the next search there."""
        key = tuple(f"{level}={value}" for level, each in inside.where.items() for value in each)
        with self._turn:
            found = self._inside.get(key)
            if found is not None:
                self._inside.move_to_end(key)
                return found
        found = LookUp(self.embeddings, self.pictures, inside=inside)
        a_row = self.embeddings.vectors.shape[1] * self.embeddings.vectors.itemsize
        if len(inside.rows) * a_row <= KEPT_BYTES // MOST_LOOK_UPS:
            with self._turn:
                self._inside[key] = found
                while len(self._inside) > MOST_LOOK_UPS:
                    self._inside.popitem(last=False)
        return found


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Result of a search, all of it of one file as it was read once.

    Parameters
    ----------
    catalog : ServedCatalog
    search : SearchRequest
    inside : Inside or None
        The rows that the search was confined to.
    answers : tuple of Answer
        One a query.
    picture : bytes
        One that was sent, small, as JPEG; empty without one.
    """

    catalog: ServedCatalog
    search: SearchRequest
    inside: Inside | None
    answers: tuple[Answer, ...] = ()
    picture: bytes = b""

    def json(self) -> dict[str, Any]:
        """Spell it as the command does."""
        return self.catalog.json(self.answers, self.search, self.inside)


def level_counts(level: Level, inside: np.ndarray | None = None) -> np.ndarray:
    """Count the pictures of each category of a level, of all rows or of those of a mask."""
    codes = level.codes if inside is None else level.codes[inside]
    return np.bincount(codes[codes >= 0], minlength=len(level.categories))


def stamp_of(path: Path) -> tuple[tuple[int, ...] | None, ...]:
    """Return what distinguishes a file and its labels from what they may become."""
    return state_of(path), state_of(labels_path(path))


def rows_named(catalog: ServedCatalog, text: str, inside: Inside | None) -> np.ndarray:
    """Find the rows with a text in their id or name, in either case; ndarray of int, in order."""
    wanted = text.casefold()
    names = catalog.embeddings.columns[catalog.names] if catalog.names else None
    rows = range(len(catalog.embeddings)) if inside is None else inside.rows.tolist()
    ids = catalog.embeddings.ids
    found = [
        row
        for row in rows
        if wanted in ids[row].casefold() or (names and wanted in names[row].casefold())
    ]
    return np.array(found, int)
