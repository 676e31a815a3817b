"""What results have in common: text, tables and figures, and a folder of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import UsageError, one_of
from extract.workspace import AnyPath

if TYPE_CHECKING:
    import pandas as pd

Table = Iterable[Sequence[Any]]
"""Rows, the header first."""

Draw = Callable[[], Any]
"""Draws a figure of Matplotlib and returns it."""


class Result(ABC):
    """An answer that can be printed, tabulated, drawn and saved."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the answer with the keys that programs read."""

    @abstractmethod
    def text(self) -> str:
        """Return the answer as lines for people, its notes last."""

    def tables(self) -> Mapping[str, Table]:
        """Return tables by name."""
        return {}

    def figures(self) -> Mapping[str, Draw]:
        """Return functions that draw the figures, by name."""
        return {}

    def __repr__(self) -> str:
        """The answer as text."""
        return self.text()

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """A pandas frame of one table.

        Parameters
        ----------
        table : str, optional
            A name of :meth:`tables`; the first without it.

        Raises
        ------
        UsageError
            When there is no table of that name, or none at all.
        """
        import pandas as pd

        tables = self.tables()
        if not tables:
            raise UsageError("this result has no table: see text() and to_json()")
        name = next(iter(tables)) if table is None else one_of(table, tables, "table")
        header, *rows = tables[name]
        return pd.DataFrame(rows, columns=list(header))

    def save(self, folder: AnyPath, *, svg: bool = False) -> None:
        """Write the tables as CSV and the figures as PNG.

        Parameters
        ----------
        folder : path
            Made where it is missing.
        svg : bool
            Whether figures are written as SVG too.

        Raises
        ------
        UsageError
            When the folder holds a file of one of the names; nothing is replaced.
        """
        from analyze.presentation import figure_style
        from extract.tables import write_tables

        folder = Path(folder)
        figures = self.figures()
        tables = {f"{name}.csv": table for name, table in self.tables().items()}
        kinds = (".png", ".svg") if svg else (".png",)
        for name in (*tables, *(f"{name}{kind}" for name in figures for kind in kinds)):
            if (folder / name).exists():
                raise UsageError(f"{folder / name} is there already: give another folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_tables(folder, tables)
        for name, draw in figures.items():
            figure_style.save(draw(), folder, name, svg=svg)


def table_of(records: Sequence[Mapping[str, Any]], header: Sequence[str] | None = None) -> Table:
    """Return records of equal keys as a table; a key that a record lacks is an empty cell.

    Parameters
    ----------
    records : sequence of mapping
        One at least, unless a header is given.
    header : sequence of str, optional
        Keys in the order of the columns; those of the first record without it.
    """
    header = list(records[0]) if header is None else header
    return [header, *([record.get(name) for name in header] for record in records)]
