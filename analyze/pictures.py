"""The pictures behind the rows, for hashes, sheets and pages: the right one, or none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.duplicates import Fingerprint, fingerprint
from extract.catalog_roots import pictures_root
from extract.embeddings import EmbeddingSet
from extract.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class PictureFolder:
    """Where a file's pictures are, as far as we may look.

    Parameters
    ----------
    embeddings : EmbeddingSet
    root : Path or None
        None where no folder may be opened.
    missed : dict of int to str
        Why a row's picture could not be shown, of those that were asked for.
    """

    embeddings: EmbeddingSet
    root: Path | None
    missed: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, embeddings: EmbeddingSet, workspace: Workspace, given: Path | None = None
    ) -> PictureFolder:
        """Take the folder given, else the file's own if it lies inside the workspace.

        Raises
        ------
        UsageError
            When the folder given is not there.
        """
        return cls(embeddings, pictures_root(workspace, embeddings.provenance, given))

    def open(self, row: int) -> Image.Image | None:
        """Give a row's picture, upright RGB; None where it cannot be had or has changed since."""
        from extract.decoding import decode_picture, read_picture
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
            return decode_picture(file.content)
        except Refused as refused:
            self.missed[row] = refused.reason.code
            return None

    def fingerprint(self, row: int) -> Fingerprint | None:
        """Take the fingerprint of a row's picture; None where it cannot be had."""
        picture = self.open(row)
        return None if picture is None else fingerprint(picture)

    def notes(self) -> tuple[str, ...]:
        """Say how many pictures could not be opened, to be shown or held together, and why."""
        return tuple(
            f"{count} {'picture is' if count == 1 else 'pictures are'} not opened: {why}"
            for why, count in sorted(Counter(self.missed.values()).items())
        )
