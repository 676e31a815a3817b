"""Which pictures, in which order, with which labels: a folder or a CSV manifest."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from extract.addresses import Place, place_of
from extract.catalog.multi_label import MultiLabel
from extract.catalog.split_folders import COLUMN, split_of_folders
from extract.errors import CatalogError, NoPictures, UsageError, cannot_read
from extract.ids import bytes_of, shown, text_of
from extract.sources.archive_files import kind_of
from extract.workspace import AnyPath

IMAGE_EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .dib .tif .tiff .avif .heic .heif "
    ".jxl .jp2 .ppm .pgm .pbm .pnm".split()
)
MAX_LEVELS = 3
MISSING_LABEL = -1
_PICTURE, _TABLE = "picture", "table"
ARCHIVES = "archives (give them with --images FILE)"
"""Files with pictures inside, among what is passed over."""


@dataclass(frozen=True, eq=False)
class Level:
    """One level of labels, a code a row.

    Parameters
    ----------
    name : str
    categories : tuple of str
        Sorted; full paths (``Home >> Curtains``), since one word occurs under several parents.
    codes : ndarray of shape (n_images,), int32
        Index into ``categories``, -1 where a row has no label.
    """

    name: str
    categories: tuple[str, ...]
    codes: np.ndarray

    def __post_init__(self) -> None:
        low, high = MISSING_LABEL, len(self.categories)
        if self.codes.size and not (low <= self.codes.min() and self.codes.max() < high):
            raise ValueError(f"codes of level {self.name!r} must lie between {low} and {high - 1}")

    @classmethod
    def from_values(cls, name: str, values: Sequence[str | None]) -> Level:
        """Code a column of labels; None is a row without one."""
        categories = tuple(sorted({v for v in values if v is not None}))
        code = {category: i for i, category in enumerate(categories)}
        codes = [MISSING_LABEL if v is None else code[v] for v in values]
        return cls(name, categories, np.array(codes, dtype=np.int32))

    def values(self) -> tuple[str | None, ...]:
        """Spell the label of each row."""
        return tuple(None if c == MISSING_LABEL else self.categories[c] for c in self.codes)

    def value(self, row: int) -> str | None:
        """Spell the label of one row."""
        code = int(self.codes[row])
        return None if code == MISSING_LABEL else self.categories[code]

    def take(self, rows: np.ndarray) -> Level:
        """Keep some rows, in the order given; the categories stay."""
        return Level(self.name, self.categories, self.codes[rows])


@dataclass(frozen=True, eq=False)
class Catalog:
    """Pictures in the order of their rows, with what is known about them.

    Parameters
    ----------
    name : str
        Where in ``cache/embeddings`` its files go.
    images_root : Path or Address
    ids : tuple of str
        Unique, sorted by their bytes, never empty.
    paths : tuple of str
        Relative to ``images_root``, with ``/``; the ids themselves unless an id column was given.
    levels : tuple of Level
        Empty when nothing is labelled.
    columns : mapping of str to tuple of str
        The manifest's other columns, by row.
    notes : tuple of str
        What was passed over in listing, for people.
    multi_labels : tuple of MultiLabel
        Multi-label columns; levels hold one label a picture.
    group_column : str, optional
        Of ``columns``: rows with one text in it, such as the pictures of a product, stay together
        in every split.
    encoding : str, optional
        What a CSV of it was read as, where that is not UTF-8.
    position_column : str, optional
        Of ``columns``: which picture of its group a row is, ``1`` being the first. Where it is
        named, a group is read as one row, the mean of its pictures' vectors.
    allow_download : bool
        Whether paths that are addresses of the web may be opened.

    Examples
    --------
    >>> from extract import Catalog
    >>> len(Catalog("shop", "photos", ids=("a.jpg", "b.jpg"), paths=("a.jpg", "b.jpg")))
    2
    """

    name: str
    images_root: Place
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    levels: tuple[Level, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    multi_labels: tuple[MultiLabel, ...] = ()
    group_column: str | None = None
    encoding: str | None = None
    position_column: str | None = None
    allow_download: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "images_root", place_of(self.images_root))
        if not self.ids:
            raise ValueError("a catalog must hold at least one picture")
        raw = [bytes_of(i) for i in self.ids]
        if any(a >= b for a, b in itertools.pairwise(raw)):
            raise ValueError("ids must be unique and sorted by their bytes")
        if any(b"\0" in r for r in raw):
            raise ValueError("ids must not hold NUL")
        columns = {"paths": self.paths, **self.columns}
        check_row_counts(len(self.ids), self.levels, columns, self.multi_labels)
        check_group(self.group_column, self.columns, self.position_column)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ids_sha256(self) -> str:
        """sha256 over the ids alone, joined by NUL (which no id can hold)."""
        return ids_fingerprint(self.ids)


def check_row_counts(
    n_images: int,
    levels: Sequence[Level],
    columns: Mapping[str, Sequence[str]],
    multi_labels: Sequence[MultiLabel] = (),
) -> None:
    """Refuse levels and columns that do not hold one entry a picture.

    Raises
    ------
    ValueError
        Naming the one that does not.
    """
    lengths = {f"level {level.name}": len(level.codes) for level in levels}
    lengths |= {f"labels {column.name}": len(column) for column in multi_labels}
    lengths |= {f"column {name}": len(values) for name, values in columns.items()}
    for what, length in lengths.items():
        if length != n_images:
            raise ValueError(f"{what} must hold {n_images} rows, got {length}")


def check_group(
    group_column: str | None,
    columns: Mapping[str, Sequence[str]],
    position_column: str | None = None,
) -> None:
    """Refuse a group column that is not among the columns, and positions in no group.

    Raises
    ------
    ValueError
    """
    if group_column is not None and group_column not in columns:
        raise ValueError(f"the group column {group_column!r} is not among the columns")
    if position_column is not None and (group_column is None or position_column not in columns):
        raise ValueError(f"positions in {position_column!r}: no such column, or no groups")


def refuse_labels_that_differ(
    products: Sequence[str], labels: Sequence[Level | MultiLabel]
) -> None:
    """Refuse pictures of one product that have other labels than its first.

    Parameters
    ----------
    products : sequence of str
        Of each picture.
    labels : sequence of Level or MultiLabel

    Raises
    ------
    CatalogError
        Naming the first such product and its two labels.
    """
    for own in labels:
        values = own.values() if isinstance(own, Level) else own.texts()
        known: dict[str, str | None] = {}
        for product, value in zip(products, values, strict=True):
            first = known.setdefault(product, value)
            if first != value:
                two = " and ".join("none" if v is None else repr(shown(v)) for v in (first, value))
                raise CatalogError(
                    f"pictures of {shown(product)!r} have different labels in "
                    f"{shown(own.name)!r}, {two}: a mean needs one; correct them, or take "
                    "--pictures each"
                )


def ids_fingerprint(ids: Sequence[str]) -> str:
    """Hash a list of ids, or of paths: sha256 over their bytes joined by NUL."""
    return hashlib.sha256(b"\0".join(map(bytes_of, ids))).hexdigest()


def list_folder(
    folder: AnyPath, *, name: str | None = None, leave_out: Sequence[AnyPath] = ()
) -> Catalog:
    """List a folder of pictures: sub-folders are classes, nested ones are levels.

    Parameters
    ----------
    folder : path
    name : str, optional
        The catalogue's name; the folder's own without it.
    leave_out : sequence of paths
        Folders inside that are not part of the catalogue (the workspace's own cache and results).

    Raises
    ------
    UsageError
        When the folder does not exist.
    NoPictures
        When it holds no picture.
    CatalogError
        When it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from extract import list_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "cups").mkdir()
    ...     Path(folder, "cups", "0.jpg").touch()
    ...     list_folder(folder).ids
    ('cups/0.jpg',)
    """
    return catalog_of_scan(scan_folder(folder, leave_out=leave_out), name=name)


@dataclass(frozen=True)
class FolderScan:
    """What lies in a folder, by path relative to it.

    Parameters
    ----------
    folder : Path or Address
        As it was given.
    root : Path or Address
        The same, absolute and without links.
    pictures : tuple of str
        Every name with a picture's extension, sorted by its bytes.
    tables : tuple of str
        Regular files of the name that was looked for, sorted by their bytes.
    passed_over : mapping of str to str
        Path of what is neither, and what it is.
    """

    folder: Place
    root: Place
    pictures: tuple[str, ...]
    tables: tuple[str, ...]
    passed_over: Mapping[str, str]

    def place_of(self, picture: str) -> str:
        """Give a picture's path relative to the root; where it lies in an archive, through that."""
        return picture

    def read(self, table: str) -> bytes:
        """Read a table.

        Raises
        ------
        CatalogError
        """
        path = Path(str(self.folder), table)
        try:
            return path.read_bytes()
        except OSError as error:
            raise cannot_read(path, error) from error

    def notes(self, named: Container[str] = ()) -> tuple[str, ...]:
        """Count what was passed over, but for the paths that are named elsewhere."""
        counts = Counter(what for path, what in self.passed_over.items() if path not in named)
        return tuple(f"{count} {what} passed over" for what, count in sorted(counts.items()))


def catalog_of_scan(
    scan: FolderScan, *, name: str | None = None, notes: Sequence[str] = ()
) -> Catalog:
    """Make a catalogue of the pictures of a folder; their folders are the labels.

    Raises
    ------
    NoPictures
    """
    ids = scan.pictures
    if not ids:
        raise NoPictures(
            f"no picture in {scan.folder}: looked for names ending in .jpg, .png, .webp, .gif, "
            ".tif and the like; give another folder with --images DIR"
        )
    split = split_of_folders(ids)
    return Catalog(
        name or scan.root.name or "root",
        scan.root,
        ids,
        tuple(map(scan.place_of, ids)),
        folder_levels(split.paths),
        {} if split.sides is None else {COLUMN: split.sides},
        notes=(*scan.notes(), *notes, *split.notes),
    )


def scan_folder(
    folder: AnyPath, *, leave_out: Sequence[AnyPath] = (), table: str | None = None
) -> FolderScan:
    """Look through a folder and its sub-folders; hidden names are not there, links not followed.

    Parameters
    ----------
    folder : Path
    leave_out : sequence of Path
        Folders inside that are not looked into.
    table : str, optional
        A file's name to look for among the pictures.

    Raises
    ------
    UsageError
        When the folder does not exist.
    CatalogError
        When it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is no folder, .zip, .tar or .parquet" if folder.exists() else "does not exist"
        raise UsageError(f"{folder} {what}: give the folder of your pictures with --images DIR")
    root = folder.resolve()
    skip = {os.fsencode(Path(p).resolve()) for p in leave_out}
    table_name = None if table is None else os.fsencode(table)
    found: dict[str, list[bytes]] = {}
    for path, what in _scan(os.fsencode(root), skip, table_name):
        found.setdefault(what, []).append(path)
    pictures, tables = (tuple(map(text_of, sorted(found.pop(k, [])))) for k in (_PICTURE, _TABLE))
    passed_over = {text_of(path): what for what, paths in found.items() for path in paths}
    return FolderScan(folder, root, pictures, tables, passed_over)


def _scan(root: bytes, leave_out: set[bytes], table: bytes | None) -> Iterator[tuple[bytes, str]]:
    """Yield relative paths in any order, each with what it is; folders only if named a picture."""
    folders = [b""]
    while folders:
        inside = folders.pop()
        for entry in _entries(os.path.join(root, inside)):
            path = os.path.join(inside, entry.name)
            if entry.name.startswith(b"."):
                continue
            is_folder = _is_folder(entry)
            if is_folder and entry.path not in leave_out:
                folders.append(path)
            if os.path.splitext(entry.name)[1].lower().decode("latin-1") in IMAGE_EXTENSIONS:
                yield path, _PICTURE  # what cannot be read is refused with its reason
            elif entry.is_symlink():
                yield path, "links (give a linked folder with --images)"
            elif entry.name == table and entry.is_file(follow_symlinks=False):
                yield path, _TABLE
            elif not is_folder and kind_of(text_of(entry.name)):
                yield path, ARCHIVES
            elif not is_folder:
                yield path, "files without a picture's extension"


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # gone or closed to us: reading it will report that
        return False


def _entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        return list(os.scandir(folder))
    except OSError as error:
        raise CatalogError(
            f"cannot list {shown(text_of(folder))}: {error.strerror}; fix that, or give another "
            "folder with --images DIR"
        ) from error


def folder_levels(paths: Sequence[str]) -> tuple[Level, ...]:
    """Take the folders of some paths as labels: ``class``, ``class_2``, ``class_3``."""
    folders = [path.split("/")[:-1] for path in paths]
    depth = min(MAX_LEVELS, max(len(f) for f in folders))
    return tuple(
        Level.from_values(
            "class" if level == 1 else f"class_{level}",
            ["/".join(f[:level]) if len(f) >= level else None for f in folders],
        )
        for level in range(1, depth + 1)
    )
