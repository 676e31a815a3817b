"""The pictures behind the rows, for hashes, sheets and pages: the right one, or none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.pictures.duplicates import Fingerprint, fingerprint
from analyze.pictures.model_input import AsSeen, as_seen
from extract.storage.catalog_roots import pictures_root
from extract.storage.embeddings import EmbeddingSet
from extract.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

    from extract.images.decoders import PreparedPicture
    from extract.images.reading import PictureFile
    from extract.transforms.preprocessing import Preprocessing

HALF = 0.5


@dataclass(frozen=True)
class PictureFolder:
    """Where a file's pictures are, as far as we may look.

    Parameters
    ----------
    embeddings : EmbeddingSet
    root : Path or None
        None where no folder may be opened.
    missed : dict of int to str
        Why a row's picture could not be shown, of those that were requested.
    seen : bool
        Whether pictures are shown as the model saw them.
    halved : dict of int or bytes to float
        By row, or by the hash of a picture that is no row's: how much the model saw, of those shown
        so of which it saw less than half.
    """

    embeddings: EmbeddingSet
    root: Path | None
    missed: dict[int, str] = field(default_factory=dict)
    seen: bool = False
    halved: dict[int | bytes, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        embeddings: EmbeddingSet,
        workspace: Workspace,
        given: Path | None = None,
        *,
        seen: bool = False,
    ) -> PictureFolder:
        """Take the folder given, else the file's own if it lies inside the workspace.

        Raises
        ------
        UsageError
            When the folder given is not there.
        """
        root = pictures_root(workspace, embeddings.provenance, given)
        return cls(embeddings, root, seen=seen)

    @cached_property
    def as_seen(self) -> AsSeen | None:
        """How the model saw the pictures, if they are shown so; None where it is not known."""
        return as_seen(self.embeddings.provenance.identity) if self.seen else None

    @property
    def how_shown(self) -> str:
        """How pictures are shown, for a sheet's heading; empty where whole."""
        return f" · as the model saw them: {self.as_seen.words}" if self.as_seen else ""

    def open(self, row: int) -> Image.Image | None:
        """Give a row's picture, upright RGB; None where it cannot be had or has changed since."""
        found = self._opened(row)
        return None if found is None else found[0]

    def open_small(self, row: int, pixels: int) -> Image.Image | None:
        """Give a row's picture for a thumbnail: a JPEG is decoded at a smaller scale."""
        from extract.images.decoding import opened_picture
        from extract.refusals import Refused

        file = self._read(row)
        if file is None:
            return None
        try:
            with opened_picture(file.content) as opened, opened.memory():
                opened.picture.draft("RGB", (2 * pixels, 2 * pixels))
                return opened.upright()
        except Refused as refused:
            self.missed[row] = refused.reason.code
            return None

    def open_with_size(self, row: int) -> tuple[Image.Image, int] | None:
        """Give a row's picture, upright RGB, and how many bytes its file holds; None as above."""
        found = self._opened(row)
        return None if found is None else (found[0], found[2])

    def prepare(
        self, row: int, wanted: Preprocessing, decoder: str
    ) -> tuple[PreparedPicture, bytes] | None:
        """Give a row's picture as a model sees it, and its file's hash; None as above."""
        from extract.images.decoders import prepare_picture
        from extract.refusals import Refused

        file = self._read(row)
        if file is None:
            return None
        try:
            return prepare_picture(file.content, {wanted}, decoder), file.sha256
        except Refused as refused:
            self.missed[row] = refused.reason.code
            return None

    def show(self, row: int) -> Image.Image | None:
        """Give a row's picture as a sheet shows it: whole, or as the model saw it."""
        found = self._opened(row)
        return None if found is None else self.shown(*found[:2], row)

    def shown(
        self, picture: Image.Image, content_sha256: bytes, row: int | None = None
    ) -> Image.Image:
        """Make of an upright picture, a row's or another, what a sheet shows of it."""
        if self.as_seen is None:
            return picture
        share = self.as_seen.share(picture)
        if share < HALF:
            self.halved[content_sha256 if row is None else row] = share
        return self.as_seen.show(picture, content_sha256)

    def part_seen(self, which: int | bytes) -> list[str]:
        """Give the line that stands below a picture of which the model saw less than half."""
        share = self.halved.get(which)
        return [] if share is None else [f"{100 * share:.0f} % of it seen"]

    def _opened(self, row: int) -> tuple[Image.Image, bytes, int] | None:
        """Give a row's picture, its file's hash, and how many bytes that holds."""
        from extract.images.decoding import decode_picture
        from extract.refusals import Refused

        file = self._read(row)
        if file is None:
            return None
        try:
            return decode_picture(file.content), file.sha256, len(file.content)
        except Refused as refused:
            self.missed[row] = refused.reason.code
            return None

    def _read(self, row: int) -> PictureFile | None:
        """Read a row's picture as it was embedded; None where it cannot be had, with a reason."""
        from extract.images.reading import read_picture
        from extract.refusals import Refused

        if self.root is None:
            self.missed[row] = "their folder lies outside the workspace, give it with --images DIR"
            return None
        paths = self.embeddings.paths or self.embeddings.ids
        try:
            file = read_picture(self.root, paths[row])
            known = self.embeddings.content_sha256
            if known is not None and known[row].any() and file.sha256 != known[row].tobytes():
                self.missed[row] = "the files have changed since they were embedded"
                return None
        except Refused as refused:
            self.missed[row] = refused.reason.code
            return None
        return file

    def fingerprint(self, row: int) -> Fingerprint | None:
        """Take the fingerprint of a row's picture; None where it cannot be had."""
        picture = self.open(row)
        return None if picture is None else fingerprint(picture)

    def notes(self) -> tuple[str, ...]:
        """Say how many pictures could not be opened or were seen in part, and why."""
        notes = [
            f"{count} {'picture is' if count == 1 else 'pictures are'} not opened: {why}"
            for why, count in sorted(Counter(self.missed.values()).items())
        ]
        if self.embeddings.n_pictures is not None:
            n_means = int((self.embeddings.n_pictures > 1).sum())
            notes.append(f"{n_means} products have several pictures: the first of each is shown")
        if self.seen and self.as_seen is None:
            notes.append(
                "pictures are shown whole: the file does not record how its model saw them"
            )
        if self.halved:
            n = len(self.halved)
            notes.append(f"the model saw less than half of {n} of the pictures shown")
        return tuple(notes)
