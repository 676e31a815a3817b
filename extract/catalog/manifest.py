"""A table as a catalogue: a row a picture or a product, labels and other columns with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from extract.addresses import Address, Place, free_of_credentials, place_of, resolved
from extract.catalog.catalog import Catalog, Level, refuse_labels_that_differ
from extract.catalog.label_column import label_levels, multi_label_columns
from extract.catalog.manifest_pictures import ONE_PICTURE, Picture, Pictures, picture_rows
from extract.catalog.manifest_table import Table, read_table
from extract.catalog.multi_label import MultiLabel
from extract.errors import CatalogError, UsageError
from extract.ids import shown
from extract.sources.archive_files import archive_files, name_of
from extract.sources.remote import look_again
from extract.workspace import AnyPath

Labels = tuple[tuple[Level, ...], tuple[MultiLabel, ...]]


@dataclass(frozen=True)
class ManifestColumns:
    """Which column of a manifest means what.

    Parameters
    ----------
    image : str
        Path of the picture, relative to the images' folder.
    id : str, optional
        What names a row; the picture's path without it.
    label : str, optional
        The class, or a tree of classes when ``label_separator`` is given.
    label_separator : str, optional
        What stands between the levels of a label, such as ``' >> '``.
    multi_label_separator : str, optional
        What stands between the labels of a multi-label cell, such as ``'|'``.
    group : str, optional
        Rows with one text in it, such as the pictures of a product, stay together in every split.

    Examples
    --------
    >>> from extract import ManifestColumns
    >>> ManifestColumns(image="file", label="kind").label
    'kind'
    """

    image: str = "image"
    id: str | None = None
    label: str | None = None
    label_separator: str | None = None
    multi_label_separator: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        for name in ("image", "id", "label", "group"):
            value = getattr(self, name)
            object.__setattr__(self, name, value and value.strip())


@dataclass(frozen=True)
class TableOptions:
    """How the file of a manifest is read.

    Parameters
    ----------
    encoding : str, optional
        Of a CSV; recognized without it.
    sheet : str, optional
        Of a workbook with several.
    pictures : Pictures
        Which pictures of a row are taken, where it lists several.
    allow_download : bool
        Whether pictures at addresses of the web are downloaded.
    """

    encoding: str | None = None
    sheet: str | None = None
    pictures: Pictures = ONE_PICTURE
    allow_download: bool = False


def list_manifest(
    manifest: AnyPath | Address,
    columns: ManifestColumns,
    *,
    images_dir: AnyPath | Address | None = None,
    name: str | None = None,
    options: TableOptions | None = None,
) -> Catalog:
    r"""List the pictures of a manifest: CSV (comma, semicolon or tab), .xlsx or parquet.

    Cells are text as they stand: ``NA`` and ``None`` are names like any other. A label column
    with a separator gives up to three levels, each spelled as its full path; a JSON-like list of
    one string (``["a >> b"]``) counts as that string. With a multi-label separator it gives no
    level, but a multi-label column; with both one for each of up to three levels.

    Raises
    ------
    UsageError
        When the manifest, the images' folder or a named column is not there.
    CatalogError
        When the file cannot be read as a table; the message names file, row and column.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from extract import ManifestColumns, list_manifest
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder, "products.csv")
    ...     _ = table.write_text("image,kind\n0.jpg,cup\n")
    ...     list_manifest(table, ManifestColumns(label="kind")).levels[0].values()
    ('cup',)
    """
    manifest, options = place_of(manifest), options or TableOptions()
    look_again(manifest)
    here = isinstance(manifest, Path)
    if here and not Path(str(manifest)).is_file() and archive_files(manifest) is None:
        raise UsageError(f"no manifest {manifest}: give a CSV file with --manifest FILE")
    check_separator(columns)
    table = read_table(manifest, options.encoding, options.sheet)
    listed = list_table(table, columns, images_dir=images_dir, name=name, pictures=options.pictures)
    return replace(listed, allow_download=options.allow_download)


def list_table(
    table: Table,
    columns: ManifestColumns,
    *,
    images_dir: AnyPath | Address | None = None,
    name: str | None = None,
    pictures: Pictures = ONE_PICTURE,
) -> Catalog:
    """List the pictures of a table that was read, as :func:`list_manifest` does."""
    images = [columns.image, *pictures.more]
    _check_named(table, columns, images)
    table.refuse_odd(images, {columns.id, columns.label, columns.group} - {None})  # type: ignore[arg-type]
    root, place_of = _places(table, images_dir, images)
    columns, ids_note = _with_ids(table, columns, images)
    rows, notes = picture_rows(table, images, columns.id, pictures)
    group, others = _other_columns(table, columns, pictures, rows)
    levels, multi_labels = _labels(table, rows, columns)
    position = None
    if pictures.mode == "mean" and group is not None:
        position = _free("picture_number", others)
        others[position] = _positions(table, group, others[group], rows)
        refuse_labels_that_differ(others[group], [*levels, *multi_labels])
    return Catalog(
        name=name or name_of(table.file),
        images_root=root,
        ids=tuple(row.id for row in rows),
        paths=tuple(place_of(row.path) for row in rows),
        levels=levels,
        columns=others,
        notes=(*table.notes, *ids_note, *notes),
        multi_labels=multi_labels,
        group_column=group,
        encoding=table.encoding,
        position_column=position,
    )


def _places(
    table: Table, images_dir: AnyPath | Address | None, images: Sequence[str]
) -> tuple[Place, Callable[[str], str]]:
    """Give the pictures' folder, and what makes a cell a path in it: they may be in an archive."""
    root = place_of(images_dir or table.file.parent)
    look_again(root)
    if table.root is not None and table.pictures.keys() & set(images):
        if images_dir is not None and resolved(root) != table.root:
            raise UsageError(f"the pictures are in {table.file} itself: leave --images-dir out")
        return table.root, str
    archives = archive_files(root)
    if archives is None and isinstance(root, Path) and not root.is_dir():
        raise UsageError(f"no folder {root}: give the pictures' folder with --images-dir DIR")
    return (resolved(root), str) if archives is None else (archives.root, archives.place_of)


def _with_ids(
    table: Table, columns: ManifestColumns, images: Sequence[str]
) -> tuple[ManifestColumns, tuple[str, ...]]:
    """Name pictures that are in the table by the paths that they had, if those are unique."""
    paths = table.pictures.get(images[0])
    if columns.id is not None or len(images) > 1 or images[0] not in table.pictures:
        return columns, ()
    if paths is not None:
        at = table.header.index(paths)
        ids = Counter(cells[at].strip() for _, cells in table.rows)
        if len(ids) == len(table.rows) and "" not in ids:
            return replace(columns, id=paths), ()
    why = "has no paths" if paths is None else "does not have a path of its own in each row"
    return columns, (
        f"{table.file}: column {shown(images[0])!r} {why}: ids are file and row; name a column of "
        "ids with --id-column",
    )


def _other_columns(
    table: Table, columns: ManifestColumns, pictures: Pictures, rows: Sequence[Picture]
) -> tuple[str | None, dict[str, tuple[str, ...]]]:
    """Give the columns that are kept by row, and which of them says what belongs together."""
    used = {columns.image, *pictures.more, columns.id, columns.label} - {columns.group}
    used |= table.pictures.keys()
    kept = {
        column: tuple(free_of_credentials(row.cells[i]) for row in rows)
        for i, column in enumerate(table.header)
        if column not in used
    }
    if columns.group is not None or not pictures.several or pictures.mode == "first":
        return columns.group, kept
    name = _free(columns.id or "product", kept)
    return name, {name: tuple(row.product for row in rows), **kept}


def _free(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name = f"{name}_id"
    return name


def _positions(
    table: Table, group: str, products: Sequence[str], rows: Sequence[Picture]
) -> tuple[str, ...]:
    """Number the pictures of each product in the order of the table, from 1."""
    numbers, count = [""] * len(rows), Counter[str]()
    for at in sorted(range(len(rows)), key=lambda at: (rows[at].number, rows[at].place)):
        if not products[at]:
            raise CatalogError(f"{table.place(rows[at].number)}: column {group!r} is empty")
        count[products[at]] += 1
        numbers[at] = str(count[products[at]])
    return tuple(numbers)


def check_separator(columns: ManifestColumns) -> None:
    """Refuse a separator that is empty or has no column to cut, and two of them.

    Raises
    ------
    UsageError
    """
    for option, separator, between in (
        ("--label-separator", columns.label_separator, "levels, as ' >> '"),
        ("--multi-label-separator", columns.multi_label_separator, "labels, as '|'"),
    ):
        if separator is not None and columns.label is None:
            raise UsageError(f"{option} cuts a column: name it with --label-column")
        if separator == "":
            raise UsageError(f"{option} is empty: give what stands between {between}")
    inner, outer = columns.label_separator, columns.multi_label_separator
    if inner is not None and outer is not None and (inner in outer or outer in inner):
        raise UsageError(
            f"--label-separator {inner!r} cuts a label into its levels, --multi-label-separator "
            f"{outer!r} separates the labels of a picture: neither may hold the other"
        )


def _check_named(table: Table, columns: ManifestColumns, images: Sequence[str]) -> None:
    for option, column in (
        *(("--image-column", image) for image in images),
        ("--id-column", columns.id),
        ("--label-column", columns.label),
        ("--group-column", columns.group),
    ):
        if column is not None and column not in table.header:
            raise no_column(str(table.file), table.header, option, column)


def no_column(place: str, header: Sequence[str], option: str, column: str) -> UsageError:
    """Make the error of a column that a table does not have; it lists those there are."""
    listed = ", ".join(shown(c)[:40] for c in header[:12])
    return UsageError(f"no column {column!r} in {place}: it has {listed}; name one with {option}")


def _labels(table: Table, rows: Sequence[Picture], columns: ManifestColumns) -> Labels:
    if columns.label is None:
        return (), ()
    at = table.header.index(columns.label)
    cells = [(table.place(row.number), free_of_credentials(row.cells[at])) for row in rows]
    return labels_of_column(columns.label, columns, cells)


def labels_of_column(
    column: str, columns: ManifestColumns, cells: Sequence[tuple[str, str]]
) -> Labels:
    """Read a column as levels, or as a multi-label column where its separator is given.

    Parameters
    ----------
    column : str
    columns : ManifestColumns
    cells : sequence of (str, str)
        Where a cell stands, for errors, and the cell; one a row, empty without a label.

    Raises
    ------
    CatalogError
        When a cell cannot be read so.
    """
    if columns.multi_label_separator is not None:
        outer, inner = columns.multi_label_separator, columns.label_separator
        return (), multi_label_columns(column, outer, cells, inner)
    return label_levels(column, columns.label_separator, cells), ()
