"""Rows of parquet files as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from extract.catalog.manifest_cells import MAX_COLUMNS, Odd, Rows, refuse_unstorable, spelled
from extract.errors import CatalogError, SosieError, in_one_line

MOST_BYTES = 1 << 30
"""Of all columns, unpacked."""

ROWS_AT_ONCE = 4096


def read_parquet(file: Path) -> tuple[tuple[str, ...], Rows, Odd]:
    """Read header, rows and cells that are no text.

    Raises
    ------
    CatalogError
        When it cannot be read, or is too large.
    SosieError
        Without pyarrow.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise SosieError(
            'parquet needs pyarrow: pip install pyarrow (the extra "parquet" brings it)'
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(file) as source:
            header = tuple(source.schema_arrow.names)
            if len(header) > MAX_COLUMNS:
                raise CatalogError(f"{file}: {len(header)} columns; at most {MAX_COLUMNS} are read")
            for name in header:
                refuse_unstorable(f"{file}, header", name)
            return header, *_rows(file, source)
    except SosieError:
        raise
    except UnicodeDecodeError as error:
        raise CatalogError(
            f"{file}: a text that is no UTF-8 (byte 0x{error.object[error.start]:02x}); save it "
            "with columns of text"
        ) from error
    except Exception as error:  # pyarrow's own kinds, and those of the codecs that it calls
        raise CatalogError(
            f"{file} cannot be read as parquet ({in_one_line(error)}); save it again, or as CSV"
        ) from error


def _rows(file: Path, source: Any) -> tuple[Rows, Odd]:
    rows: Rows = []
    odd: dict[tuple[int, str], int] = {}
    n_bytes = 0
    for batch in source.iter_batches(batch_size=ROWS_AT_ONCE):
        n_bytes += batch.nbytes
        if n_bytes > MOST_BYTES:
            raise CatalogError(
                f"{file}: more than {MOST_BYTES:,} bytes unpacked; leave out what is no text"
            )
        columns = [column.to_pylist() for column in batch.columns]
        for values in zip(*columns, strict=True):
            number = len(rows) + 1
            cells = []
            for i, value in enumerate(values):
                text, what = spelled(value)
                refuse_unstorable(f"{file}, row {number}", text)
                if what is not None:
                    odd.setdefault((i, what), number)
                cells.append(text)
            rows.append((number, cells))
    return rows, odd
