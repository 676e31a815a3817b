"""Files of vectors that other tools wrote: npy, npz, csv, parquet, safetensors, HDF5, and folders.

No pickle is loaded. Columns of text that a file holds next to its vectors are kept.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.errors import SosieError, UsageError, one_of
from extract.files.strict_json import read_json
from extract.ids import shown
from extract.storage.exchange.export import CHECKSUMS, PATHS, load_pyarrow
from extract.tables import unguarded

if TYPE_CHECKING:
    import pandas as pd

IDS = ("id", "ids", "file_name", "filename", "image_path", "path")
"""Names under which files hold the ids of their rows, the first that is there."""

VECTORS = ("vectors", "vector", "embeddings", "embedding", "features")
"""Names of the vectors, where a file holds more than one matrix."""

DIMENSION = re.compile(r"(\D*)(\d+)")
"""A column of a table that is one dimension, as in ``v0``, ``d12``, ``0``."""

PROVENANCE = "provenance"
LABEL, COLUMN = "label_", "column_"
"""How arrays of labels and of other columns begin in an npz of our own."""

UNREADABLE = (
    ValueError,
    OSError,
    KeyError,
    EOFError,
    ImportError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What libraries raise for damaged files; a header may claim more numbers than memory holds."""

Texts = Mapping[str, Sequence[str]]


@dataclass(frozen=True, eq=False)
class VectorFile:
    """What a file of vectors holds.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_dims)
        As stored; not checked.
    ids : sequence of str, optional
    labels, columns : mapping of str to sequence of str
        One value per row; empty where a row has none. Labels may be Series by id.
    content_sha256 : sequence of str, optional
        Of each picture, as hexadecimal digits.
    paths : sequence of str, optional
        Of the pictures, where they are not the ids.
    separators : mapping of str to str
        What stands between several labels of a row, by the name of the labels.
    group_column : str, optional
        Of ``columns``: which rows stay together.
    """

    vectors: np.ndarray
    ids: Sequence[str] | None = None
    labels: Texts = field(default_factory=dict)
    columns: Texts = field(default_factory=dict)
    content_sha256: Sequence[str] | None = None
    paths: Sequence[str] | None = None
    separators: Mapping[str, str] = field(default_factory=dict)
    group_column: str | None = None


def read_vectors(source: Path, labels: Sequence[str] = ()) -> VectorFile:
    """The vectors of a file or folder, with what it tells of their rows.

    Parameters
    ----------
    source : Path
        A file that ends as a key of :data:`READERS`, or a folder as thingsvision or
        clip-retrieval writes one.
    labels : sequence of str
        Columns of a table that are no dimensions, whatever their names.

    Raises
    ------
    UsageError
        When it is no such file, or it is not clear which of its values are the vectors.
    """
    if source.is_dir():
        return _of_folder(source)
    if not source.exists():
        raise UsageError(f"{source} is not there: name a file of vectors, as in vectors.npy")
    kind = _kind_of(source, READERS, "vectors")
    with _one_line(source):
        return _of_table(source, labels) if kind in FRAMES else READERS[kind](source)


def read_table(source: Path) -> dict[str, list[str]]:
    """Columns of a CSV or parquet file as text; empty where a cell is.

    Raises
    ------
    UsageError
        When it cannot be read.
    """
    if not source.exists():
        raise UsageError(f"{source} is not there: name a table with a column of ids")
    kind = _kind_of(source, FRAMES, "a table")
    with _one_line(source):
        frame = FRAMES[kind](source)
        return {str(name): _texts(frame[name]) for name in frame.columns}


def _kind_of(source: Path, readers: Collection[str], what: str) -> str:
    kind = source.suffix.lower()
    if kind not in readers:
        raise UsageError(
            f"{source} is not read as {what}: the name must end in one of {', '.join(readers)}"
        )
    return kind


@dataclass(frozen=True)
class LabelSource:
    """Where labels of imported rows come from.

    Parameters
    ----------
    table : Path, optional
        CSV or parquet with a column of ids.
    columns : tuple of str
        Of the table, or of the file of vectors; of a table all without them.
    """

    table: Path | None = None
    columns: tuple[str, ...] = ()


def read_labelled(source: Path, ids: Path | None, labels: LabelSource) -> VectorFile:
    """The vectors of a file with ids and labels from where they are.

    Parameters
    ----------
    source : Path
    ids : Path, optional
        A line per row, or a table with a column of :data:`IDS`, in the order of the vectors.
    labels : LabelSource

    Raises
    ------
    UsageError
        When a file cannot be read, or a column is not there.
    """
    found = read_vectors(source, labels.columns if labels.table is None else ())
    if ids is not None:
        found = replace(found, ids=_ids_of(ids))
    if labels.table is not None:
        table = read_table(labels.table)
        own = table.pop(_id_column(labels.table, table))
        wanted = labels.columns or tuple(table)
        columns = {name: _column(table, name, labels.table) for name in wanted}
        return replace(found, labels=_by_id(own, columns))
    chosen = {name: _column(found.columns, name, source) for name in labels.columns}
    kept = {name: values for name, values in found.columns.items() if name not in chosen}
    return replace(found, labels={**found.labels, **chosen}, columns=kept)


def _by_id(ids: Sequence[str], columns: Texts) -> dict[str, pd.Series]:
    """Columns with the ids as index, so that they are joined to the rows."""
    import pandas as pd

    index = pd.Index(ids, dtype=object)
    return {
        name: pd.Series([value or None for value in values], index=index, dtype=object)
        for name, values in columns.items()
    }


def _ids_of(path: Path) -> Sequence[str]:
    if path.suffix.lower() in FRAMES:
        table = read_table(path)
        return table[_id_column(path, table)]
    if not path.exists():
        raise UsageError(f"{path} is not there: name a file with an id in each line")
    with _one_line(path):
        return path.read_text(encoding="utf-8").splitlines()


def _id_column(path: Path, table: Texts) -> str:
    name = next((known for known in IDS if known in table), None)
    if name is None:
        have = ", ".join(map(shown, table))
        raise UsageError(f"{path} has no column of ids ({', '.join(IDS)}): it has {have}")
    return name


def _column(table: Texts, name: str, path: Path) -> Sequence[str]:
    return table[one_of(name, table, f"{path}: column", "choose one of")]


@contextmanager
def _one_line(source: Path) -> Iterator[None]:
    """Refuse in one line a file that its library cannot read."""
    try:
        yield
    except SosieError:
        raise
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "pickle" in reason:
            reason = "it holds a pickle, and none is loaded; save plain numbers"
        raise UsageError(f"{source} cannot be read: {reason}") from error


def _of_npy(source: Path) -> VectorFile:
    return VectorFile(np.load(source, allow_pickle=False))


def _of_npz(source: Path) -> VectorFile:
    with np.load(source, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    texts = {k: v.tolist() for k, v in arrays.items() if v.ndim == 1 and v.dtype.kind == "U"}
    stated = arrays.get(PROVENANCE)
    described = "" if stated is None or stated.ndim or stated.dtype.kind != "U" else str(stated)
    found = _with_texts(arrays[_matrix(source, arrays)], texts)
    if described:
        return _as_described(found, described)
    cut = {
        prefix: {
            k.removeprefix(prefix): v for k, v in found.columns.items() if k.startswith(prefix)
        }
        for prefix in (LABEL, COLUMN)
    }
    others = {k: v for k, v in found.columns.items() if not k.startswith((LABEL, COLUMN))}
    return replace(found, labels=cut[LABEL], columns={**others, **cut[COLUMN]})


def _as_described(found: VectorFile, described: str) -> VectorFile:
    """Name labels and columns as an export of our own says; what it says of no column is left."""
    try:
        stated = read_json(described)
        labels = {each["column"]: each for each in stated["labels"]}
        columns = {each["column"]: str(each["name"]) for each in stated["columns"]}
        names = {column: str(each["name"]) for column, each in labels.items()}
        group = stated.get("group_column")
    except (ValueError, KeyError, TypeError):  # another's, or of an earlier version
        return found
    own = {names[k]: found.columns[k] for k in names if k in found.columns}
    others = {columns.get(k, k): v for k, v in found.columns.items() if k not in names}
    return replace(
        found,
        labels=own,
        columns=others,
        group_column=group if group in others else None,
        separators={
            names[k]: str(each["separator"])
            for k, each in labels.items()
            if names[k] in own and each.get("separator")
        },
    )


def _of_safetensors(source: Path) -> VectorFile:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(source)
    except SafetensorError as error:
        raise ValueError(error) from error
    return VectorFile(tensors[_matrix(source, tensors)])


def _of_hdf5(source: Path) -> VectorFile:
    import h5py

    from extract.files.sandboxed_open import crash_on_open
    from extract.files.strings_dataset import own_datasets

    def read() -> VectorFile:
        with h5py.File(source, "r") as file:
            there = own_datasets(file)
            vectors = there[_matrix(source, there)][...]
            texts = {
                name: [str(value) for value in found.asstr()[...].tolist()]
                for name, found in there.items()
                if found.ndim == 1 and h5py.check_string_dtype(found.dtype)
            }
        return _with_texts(vectors, texts)

    crashed = crash_on_open(source, read)
    if crashed:
        raise UsageError(f"{source} cannot be read: {crashed}")
    return read()


def _of_table(source: Path, labels: Sequence[str] = ()) -> VectorFile:
    """Vectors of a table: one column of lists, or a column for each dimension."""
    if source.suffix.lower() == ".csv":
        import pandas as pd

        taken = _dimensions(pd.read_csv(source, nrows=1, dtype=str, keep_default_na=False), labels)
        frame = _read_csv(source, taken)
    else:
        frame = _read_parquet(source)
        taken = _list_columns(frame) or _dimensions(frame, labels)
    if not taken:
        raise ValueError("it has neither a column of lists nor columns v0, v1, ... of numbers")
    if _holds_lists(frame[taken[0]]):
        vectors = _stacked(frame[taken[0]])
    else:
        vectors = frame[taken].to_numpy(np.float32)
    texts = {str(k): _texts(frame[k]) for k in frame.columns if k not in taken}
    return _as_described(_with_texts(vectors, texts), str(frame.attrs.get(PROVENANCE, "")))


def _of_folder(folder: Path) -> VectorFile:
    """What thingsvision (features and file names) or clip-retrieval (parts) left in a folder."""
    names = folder / "file_names.txt"
    features = sorted(folder.glob("features.np[yz]"))
    parts = sorted((folder / "img_emb").glob("img_emb_*.npy"), key=_number)
    with _one_line(folder):
        if features and names.exists():
            found = read_vectors(features[0])
            return replace(found, ids=names.read_text(encoding="utf-8").splitlines())
        if parts:
            tables = sorted((folder / "metadata").glob("metadata_*.parquet"), key=_number)
            columns: dict[str, list[str]] = {}
            for table in tables:
                for name, values in read_table(table).items():
                    columns.setdefault(name, []).extend(values)
            vectors = np.concatenate([np.load(part, allow_pickle=False) for part in parts])
            return _with_texts(vectors, columns)
    raise UsageError(
        f"{folder} holds neither features.npy with file_names.txt (thingsvision) nor img_emb/ "
        "(clip-retrieval): name a file of vectors"
    )


def _number(path: Path) -> int:
    return int(re.sub(r"\D", "", path.stem) or 0)


def _read_csv(source: Path, dimensions: Sequence[str] = ()) -> pd.DataFrame:
    """Columns of a CSV: those of dimensions as numbers, the others as the text that stands."""
    import pandas as pd

    # before 3.1 the usual converter missed the nearest float in its last digit
    older = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
    options: Any = {"float_precision": "round_trip"} if older else {}
    types: Any = defaultdict(lambda: str, dict.fromkeys(dimensions, np.float64))
    frame = pd.read_csv(source, dtype=types, keep_default_na=False, **options)
    for name in frame.columns.difference(dimensions):
        frame[name] = [unguarded(cell) for cell in frame[name]]
    return frame


def _read_parquet(source: Path) -> pd.DataFrame:
    load_pyarrow()
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(source)
    frame: pd.DataFrame = table.to_pandas()
    stated = (table.schema.metadata or {}).get(PROVENANCE.encode(), b"")
    frame.attrs[PROVENANCE] = stated.decode("utf-8", "replace")
    return frame


def _dimensions(frame: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    """Columns that are one dimension each: the most that begin alike and count up without a gap.

    Columns of labels are none, nor are others that count up but hold text in the first row, such
    as the levels ``kind_1`` and ``kind_2``.
    """
    series: dict[str, dict[int, str]] = {}
    for name in map(str, frame.columns):
        found = DIMENSION.fullmatch(name)
        if found and name not in labels:
            series.setdefault(found[1], {})[int(found[2])] = name
    if not series:
        return []
    # where all hold text, the longest is kept, and its first cell that is no number is named
    numeric = [s for s in series.values() if all(_is_number(frame[c]) for c in s.values())]
    candidates = numeric or list(series.values())
    longest = max(candidates, key=len)
    rivals = [next(iter(s.values())) for s in candidates if len(s) == len(longest)]
    if len(rivals) > 1:
        raise ValueError(
            f"it is not clear which columns are the vectors: those from {rivals[0]!r} and from "
            f"{rivals[1]!r} on are equally many; name columns of labels with --label-column"
        )
    numbers = sorted(longest)
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        missing = next(i for i in range(numbers[0], numbers[-1]) if i not in longest)
        near = longest[missing - 1]
        raise ValueError(f"its columns of dimensions have a gap: nothing follows {near!r}")
    return [longest[number] for number in numbers]


def _list_columns(frame: pd.DataFrame) -> list[str]:
    """Give the one column of lists, by name where there are several; empty without one."""
    lists = [name for name in frame.columns if _holds_lists(frame[name])]
    return lists if len(lists) < 2 else [name for name in VECTORS if name in lists][:1]


def _stacked(lists: pd.Series) -> np.ndarray:
    lengths = lists.map(len)
    other = (lengths != lengths.iloc[0]).to_numpy()
    if other.any():
        row = int(other.argmax())
        raise ValueError(
            f"row {row} of {lists.name!r} has {lengths.iloc[row]} dimensions, the first "
            f"{lengths.iloc[0]}"
        )
    return np.stack(lists.to_list())


def _is_number(column: pd.Series) -> bool:
    """Whether the first value, if there is one, reads as a number."""
    first = "" if len(column) == 0 else str(column.iloc[0]).strip()
    try:
        float(first or "nan")
    except ValueError:
        return False
    return True


def _holds_lists(column: pd.Series) -> bool:
    return len(column) > 0 and isinstance(column.iloc[0], list | np.ndarray)


def _texts(column: pd.Series) -> list[str]:
    return ["" if value is None or value != value else str(value) for value in column]


def _matrix(source: Path, arrays: Mapping[str, Any]) -> str:
    """Name the one array of numbers with two dimensions, by name where there are several."""
    found = [k for k, v in arrays.items() if len(v.shape) == 2 and v.dtype.kind in "biufO"]
    if len(found) > 1:
        found = [name for name in VECTORS if name in found][:1] or found
    if len(found) != 1:
        there = ", ".join(f"{shown(k)} {v.shape}" for k, v in arrays.items()) or "nothing"
        raise UsageError(
            f"{source}: it is not clear which are the vectors: it holds {there}; name one "
            f"{VECTORS[0]!r}, of shape (n, n_dims)"
        )
    return found[0]


def _with_texts(vectors: np.ndarray, texts: Mapping[str, Sequence[str]]) -> VectorFile:
    """Take ids and check sums of pictures from columns of text; the others are columns."""
    own = {name: values for name, values in texts.items() if len(values) == len(vectors)}
    ids = next((own.pop(name) for name in IDS if name in own), None)
    return VectorFile(vectors, ids, {}, own, own.pop(CHECKSUMS, None), own.pop(PATHS, None))


FRAMES: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _read_csv, ".parquet": _read_parquet}

READERS: dict[str, Callable[[Path], VectorFile]] = {
    ".npy": _of_npy,
    ".npz": _of_npz,
    ".csv": _of_table,
    ".parquet": _of_table,
    ".safetensors": _of_safetensors,
    ".h5": _of_hdf5,
    ".hdf5": _of_hdf5,
}
