"""Embeddings for other tools: npz, CSV, parquet or a LanceDB table."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Literal

import numpy as np

from extract.command_line import counted, progress_bar
from extract.errors import SosieError, UsageError, cannot_write
from extract.files.durability import written_whole
from extract.storage.embeddings import EmbeddingSet
from extract.storage.embeddings_file import read_embeddings
from extract.tables import column_names, write_csv
from extract.workspace import AnyPath, Workspace

Format = Literal["npz", "csv", "parquet", "lancedb"]
FORMATS: tuple[Format, ...] = ("npz", "csv", "parquet", "lancedb")
Progress = Callable[[int, int], None]

CHECKSUMS, PATHS = "content_sha256", "path"
"""Columns of what is known of the pictures."""

ROWS_A_STEP = 256
"""How many rows of a CSV are written between two reports of progress."""


def choose_format(wanted: Format | None, output: Path | None) -> Format:
    """Take the requested format, else what the file's name ends in, else npz.

    Raises
    ------
    UsageError
        When the name ends in no format, or in another one.
    """
    by_name = {f".{known}": known for known in FORMATS}
    named = by_name.get(output.suffix.lower()) if output is not None else None
    if wanted and named and wanted != named:
        raise UsageError(
            f"--output {output} is the name of {named}: end it in .{wanted}, or leave "
            f"--format {wanted} away"
        )
    if output is not None and not (wanted or named):
        raise UsageError(
            f"--output {output} does not name a format: end it in "
            f"{', '.join(by_name)}, or give --format {'|'.join(FORMATS)}"
        )
    return wanted or named or "npz"


def check_can_export(path: Path, file_format: Format, *, overwrite: bool = False) -> None:
    """Refuse, before anything is read, what could not be written.

    Raises
    ------
    UsageError
        When a file of that name is there.
    SosieError
        When the format needs a package that is not installed.
    """
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"{path} is there already: give another --output FILE, or --overwrite")
    if file_format == "lancedb" and path.exists() and not _is_own_database(path):
        raise UsageError(
            f"{path} is no LanceDB database with {path.stem!r} as its only table, and is not "
            "replaced: give another name"
        )
    if file_format in ("parquet", "lancedb"):
        load_pyarrow()
    if file_format == "lancedb":
        _lancedb()


def export_file(
    workspace: Workspace,
    file: Path,
    file_format: Format | None = None,
    output: Path | None = None,
    *,
    overwrite: bool = False,
    quiet: bool = True,
) -> dict[str, Any]:
    """Write the sound rows of a file; return what was written, by the keys of the JSON.

    Without ``output`` it takes the file's name, in the workspace. Errors are those of
    :func:`choose_format` and :func:`export_embeddings`.
    """
    chosen = choose_format(file_format, output)
    path = output or workspace.root / f"{file.stem}.{chosen}"
    if path.exists() and file.exists() and path.samefile(file):
        raise UsageError(f"{path} is the embeddings file itself: give another --output FILE")
    check_can_export(path, chosen, overwrite=overwrite)
    vectors = read_embeddings(file)
    with progress_bar("rows", quiet=quiet or chosen != "csv") as progress:
        notes = export_embeddings(vectors, path, chosen, overwrite=overwrite, progress=progress)
    return {
        "file": workspace.relative(path),
        "format": chosen,
        "n_images": len(vectors),
        "n_dims": int(vectors.vectors.shape[1]),
        "left_out": sum(vectors.left_out.values()),
        "left_out_by_reason": dict(vectors.left_out),
        "source": workspace.relative(file),
        "notes": list(notes),
    }


def as_text(exported: Mapping[str, Any]) -> str:
    """Spell what :func:`export_file` returns for people."""
    lines = [
        f"{exported['file']}",
        f"{exported['n_images']} rows of {exported['n_dims']} numbers from {exported['source']}",
    ]
    if exported["left_out"]:
        lines.append(f"left out: {counted(exported['left_out_by_reason'])}")
    return "\n".join([*lines, *(f"note: {note}" for note in exported["notes"])])


def export_embeddings(
    vectors: EmbeddingSet,
    path: AnyPath,
    file_format: Format,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Write ids, vectors, labels and other columns under a temporary name, then rename.

    Parameters
    ----------
    vectors : EmbeddingSet
    path : path
        Its folder is made where it is not there.
    file_format : {'npz', 'csv', 'parquet', 'lancedb'}
        LanceDB's is a folder, with one table of the folder's name.
    overwrite : bool
        Whether a file of that name may be replaced.
    progress : callable, optional
        Takes rows written and all rows; only CSV takes long enough to report.

    Returns
    -------
    tuple of str
        What the file does not hold as it was, for people.

    Raises
    ------
    UsageError
        When a file of that name is there and may not be replaced.
    SosieError
        When it cannot be written, or its format needs a package that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from extract import EmbeddingSet, export_embeddings
    >>> e = EmbeddingSet.from_arrays([[1, 0], [0, 1]], ids=["a", "b"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = export_embeddings(e, f"{folder}/vectors.npz", "npz")
    ...     np.load(f"{folder}/vectors.npz")["ids"].tolist()
    ['a', 'b']
    """
    path = Path(path)
    check_can_export(path, file_format, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if file_format == "lancedb":
            _write_lancedb(path, vectors)
            return _notes(vectors, file_format)
        with written_whole(path) as temporary:
            _write(temporary, vectors, file_format, progress or (lambda done, total: None))
    except OSError as error:
        raise cannot_write(path, error) from error
    return _notes(vectors, file_format)


def provenance_json(vectors: EmbeddingSet, names: Sequence[str]) -> str:
    """Spell where the vectors come from, what was left out and what each column is, as JSON.

    Parameters
    ----------
    vectors : EmbeddingSet
    names : sequence of str
        Under which the file holds its levels, its multi-label columns and its other columns.
    """
    provenance, n_labels = vectors.provenance, len(vectors.labels)
    labels = [
        {"column": name, "name": own.name, "separator": getattr(own, "separator", None)}
        for name, own in zip(names, vectors.labels, strict=False)
    ]
    columns = zip(names[n_labels:], vectors.columns, strict=True)
    described = {
        "identity": dict(provenance.identity),
        "identity_sha256": provenance.identity_sha256,
        "rules": provenance.rules,
        "realisations": [dict(r) for r in provenance.execution_configs],
        "record": dict(provenance.record),
        "left_out": dict(vectors.left_out),
        "labels": labels,
        "columns": [{"column": column, "name": name} for column, name in columns],
        "group_column": vectors.group_column,
    }
    return json.dumps(described, sort_keys=True)


def _write(path: Path, vectors: EmbeddingSet, file_format: Format, progress: Progress) -> None:
    if file_format == "csv":
        _write_csv(path, vectors, progress)
    elif file_format == "parquet":
        _write_parquet(path, vectors)
    else:
        try:
            _write_npz(path, vectors)
        except (MemoryError, struct.error) as error:  # an array is as wide as its longest text
            raise SosieError(
                "a label or column is too long for npz: write --format csv or parquet"
            ) from error


def _write_npz(path: Path, vectors: EmbeddingSet) -> None:
    arrays = {"ids": _texts(vectors.ids), "vectors": vectors.vectors}
    arrays |= {f"label_{v.name}": _texts([s or "" for s in v.values()]) for v in vectors.levels}
    arrays |= {
        f"label_{v.name}": _texts([text or "" for text in v.texts()]) for v in vectors.multi_labels
    }
    arrays |= {f"column_{name}": _texts(values) for name, values in vectors.columns.items()}
    names = [name for name in arrays if name not in ("ids", "vectors")]
    arrays |= {name: _texts(values) for name, values in _of_pictures(vectors).items()}
    arrays["provenance"] = _texts(provenance_json(vectors, names))
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # its date is fixed: same rows, same bytes
            if array.dtype.kind == "U":  # as wide as the longest, so most of it is nothing
                member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _texts(values: Sequence[str] | str) -> np.ndarray:
    return np.array(values, dtype=np.str_)


def _write_csv(path: Path, vectors: EmbeddingSet, progress: Progress) -> None:
    numbers = [f"v{i}" for i in range(vectors.vectors.shape[1])]
    known = _of_pictures(vectors)
    names, columns = _columns(vectors, ["id", *known, *numbers])

    def rows() -> Iterator[list[Any]]:
        for i, row_id in enumerate(vectors.ids):
            if i % ROWS_A_STEP == 0:
                progress(i, len(vectors))
            # nine digits name one float32, also where they are read as a double first
            row = [float(f"{v:.9g}") for v in vectors.vectors[i].tolist()]
            yield [row_id, *(values[i] for values in (*known.values(), *columns)), *row]
        progress(len(vectors), len(vectors))

    write_csv(path, ["id", *known, *names, *numbers], rows())


def _write_parquet(path: Path, vectors: EmbeddingSet) -> None:
    load_pyarrow()
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow_table(vectors), path)


def _write_lancedb(path: Path, vectors: EmbeddingSet) -> None:
    """Make a database next to the one that is there, then put it into its place.

    The one before is moved into the folder that is removed only when the new one is in its place.
    """
    before = path.with_name(f".{path.name}.{os.getpid()}.before")
    with TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        made = Path(folder) / "made"
        _lancedb().connect(str(made)).create_table(path.stem, arrow_table(vectors))
        try:
            if path.exists():
                path.rename(before)
            made.rename(path)
        except BaseException:  # an interrupt too
            if before.exists() and not path.exists():
                before.rename(path)
            raise
        if before.exists():
            before.rename(Path(folder) / "before")


def _is_own_database(path: Path) -> bool:
    """Whether a folder holds what this export writes, one table of its name, and nothing else."""
    inside = list(path.iterdir()) if path.is_dir() else []
    return [each.name for each in inside] == [f"{path.stem}.lance"] and inside[0].is_dir()


def _lancedb() -> ModuleType:
    try:
        import lancedb
    except ImportError as error:
        raise SosieError(
            'a LanceDB table needs lancedb: pip install lancedb (the extra "lancedb" brings it)'
        ) from error
    found: ModuleType = lancedb
    return found


def arrow_table(vectors: EmbeddingSet, more: Mapping[str, Any] | None = None) -> Any:
    """Lay ids, vectors, labels and other columns out as an Arrow table, a row a picture.

    Parameters
    ----------
    vectors : EmbeddingSet
    more : mapping of str to pyarrow.Array, optional
        Columns that stand before labels and other columns, which get other names if need be.

    Returns
    -------
    pyarrow.Table
        Its metadata holds the provenance.

    Raises
    ------
    SosieError
        Without pyarrow.
    """
    arrow = load_pyarrow()
    known = _of_pictures(vectors)
    names, columns = _columns(vectors, ["id", "vector", *known, *(more or {})])
    flat = arrow.array(np.ascontiguousarray(vectors.vectors).ravel())
    arrays = {
        "id": arrow.array(map(_escaped, vectors.ids), arrow.string()),
        "vector": arrow.FixedSizeListArray.from_arrays(flat, vectors.vectors.shape[1]),
        **(more or {}),
    }
    for name, values in [*known.items(), *zip(names, columns, strict=True)]:
        texts = [None if value is None else _escaped(value) for value in values]
        arrays[_escaped(name)] = arrow.array(texts, arrow.string())
    provenance = provenance_json(vectors, [_escaped(name) for name in names])
    return arrow.table(arrays).replace_schema_metadata({"provenance": provenance})


def _of_pictures(vectors: EmbeddingSet) -> dict[str, Sequence[str]]:
    """What is known of the pictures: their hashes, empty where not, and paths that are no ids."""
    known: dict[str, Sequence[str]] = {}
    if vectors.content_sha256 is not None:
        known[CHECKSUMS] = [
            row.tobytes().hex() if row.any() else "" for row in vectors.content_sha256
        ]
    if vectors.paths is not None:
        known[PATHS] = vectors.paths
    return known


def _columns(
    vectors: EmbeddingSet, taken: Sequence[str]
) -> tuple[tuple[str, ...], list[Sequence[str | None]]]:
    """Give labels and other columns side by side, under names that no other column has."""
    labels = [(level.name, level.values()) for level in vectors.levels]
    labels += [(column.name, column.texts()) for column in vectors.multi_labels]
    names = column_names(taken, [name for name, _ in labels], vectors.columns)
    return names, [*(values for _, values in labels), *vectors.columns.values()]


def load_pyarrow() -> ModuleType:
    """The library that reads and writes parquet.

    Raises
    ------
    SosieError
        When it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise SosieError(
            'parquet needs pyarrow: pip install pyarrow (the extra "parquet" brings it)'
        ) from error
    found: ModuleType = pyarrow
    return found


def _escaped(text: str) -> str:
    r"""Write bytes that are no UTF-8 as ``\udcXX``; parquet's strings are UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _notes(vectors: EmbeddingSet, file_format: Format) -> tuple[str, ...]:
    if file_format == "npz":
        return ()
    notes = []
    n_escaped = sum(_escaped(row_id) != row_id for row_id in vectors.ids)
    if n_escaped:
        are = "id is" if n_escaped == 1 else "ids are"
        notes.append(f"{n_escaped} {are} not UTF-8: written with \\udcXX for each such byte")
    if file_format == "csv":
        notes.append("a CSV holds no provenance: npz and parquet do")
    return tuple(notes)
