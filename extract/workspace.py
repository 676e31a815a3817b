"""Where the workspace's folders are; nobody else spells these paths."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from extract.errors import UsageError

AnyPath = str | os.PathLike[str]
"""What public functions take for a path."""

VIEWS = "views"
"""The folder of augmented copies, next to the plain files of a catalogue."""


@dataclass(frozen=True)
class Workspace:
    """The folder that holds ``data``, ``cache`` and ``results``.

    Parameters
    ----------
    root : Path
        Absolute and without links, so that files inside and outside it can be distinguished.

    Examples
    --------
    >>> from extract import Workspace
    >>> Workspace("/shop").cache.as_posix()
    '/shop/cache'
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    @classmethod
    def find(cls, root: AnyPath | None = None) -> Workspace:
        """Take the folder given, else the variable ``SOSIE_ROOT``, else the working directory.

        Raises
        ------
        UsageError
            When that folder does not exist.
        """
        chosen = Path(root or os.environ.get("SOSIE_ROOT") or ".")
        if not chosen.is_dir():
            raise UsageError(f"no folder {chosen}: make it, or give another with --root DIR")
        return cls(chosen.resolve())

    @property
    def data(self) -> Path:
        """What the user gives; only read."""
        return self.root / "data"

    @property
    def cache(self) -> Path:
        """What can be rebuilt."""
        return self.root / "cache"

    @property
    def results(self) -> Path:
        """What people look at."""
        return self.root / "results"

    @property
    def demo(self) -> Path:
        """The drawn demo catalogue."""
        return self.cache / "demo"

    @property
    def cached_reductions(self) -> Path:
        """Reduced coordinates, kept between runs."""
        return self.cache / "reductions"

    @property
    def cached_clusterings(self) -> Path:
        """Cluster assignments, kept between runs."""
        return self.cache / "clusterings"

    @property
    def cached_indexes(self) -> Path:
        """Indexes of nearest neighbors, kept between runs."""
        return self.cache / "index"

    @property
    def cached_backbones(self) -> Path:
        """What is known of backbones that were built here, kept between runs."""
        return self.cache / "backbones"

    @property
    def cached_robustness(self) -> Path:
        """What corrupted pictures gave, kept between runs."""
        return self.cache / "robustness"

    @property
    def cached_head_trials(self) -> Path:
        """Settings of heads that were tried, kept between runs."""
        return self.cache / "heads"

    def embeddings_file(self, catalog: str, model: str, identity: str) -> Path:
        """Return the path of the file of one catalogue, model and identity (eight hex digits)."""
        return self.cache / "embeddings" / file_name(catalog) / f"{file_name(model)}-{identity}.h5"

    def views_file(self, catalog: str, model: str, identity: str) -> Path:
        """Return the path of a file of augmented pictures, in a folder next to the plain files."""
        plain = self.embeddings_file(catalog, model, identity)
        return plain.parent / VIEWS / plain.name

    def stored_embeddings(self, catalog: str | None = None) -> tuple[Path, ...]:
        """List the embeddings files here, of one catalogue or of all, sorted by path.

        Raises
        ------
        OSError
            When a folder is there that may not be listed.
        """
        embeddings = self.cache / "embeddings"
        folders = [embeddings / file_name(catalog)] if catalog else _listed(embeddings)
        found = [path for folder in folders for path in _listed(folder) if path.suffix == ".h5"]
        return tuple(sorted(p for p in found if not p.name.endswith(".labels.h5")))

    def find_file(self, path: AnyPath) -> Path:
        """Take a file as it was typed, or, where there is none, as seen from the root."""
        path = Path(path)
        return path if path.exists() else self.root / path

    def relative(self, path: AnyPath) -> str:
        """Write a path relative to the root if it lies inside, else absolute."""
        path = Path(os.path.abspath(path))  # noqa: PTH100 - a link such as results/latest is kept
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )


def _listed(folder: Path) -> list[Path]:
    """List a folder; nothing where there is none. A pattern would pass over a closed one."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return list(folder.iterdir())
    return []


def file_name(text: str) -> str:
    """Make a name safe as one path component: ``timm:resnet50.a1`` gives ``timm_resnet50.a1``."""
    return re.sub(r"[^\w.+ -]", "_", text).strip(" .") or "_"
