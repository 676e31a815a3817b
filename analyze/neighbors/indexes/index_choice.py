"""Choice of the index by rows, dimensions, memory and target recall, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analyze.neighbors.indexes.index_types import FLAT, find_kind
from extract.errors import UsageError
from extract.files.private_memory import free_memory

FEW_ROWS = 100_000
"""Below, all rows are compared within milliseconds, and building anything takes longer."""

MANY_ROWS = 500_000
"""Beyond, linking rows to a graph takes longer than training cells and codes."""

REDUCED_DIMS = 256
SHARE_OF_MEMORY = 0.5


@dataclass(frozen=True)
class Choice:
    """An index that is to be used, and why.

    Parameters
    ----------
    name : str
        One of :data:`analyze.neighbors.indexes.index_types.NAMES`.
    reduced_dims : int or None
        Principal axes that rows are turned onto first; None for as they are.
    why : str
        For people.
    """

    name: str
    reduced_dims: int | None
    why: str


def choose_index(
    n_rows: int, n_dims: int, *, memory: float | None = None, recall: float = 0.98
) -> Choice:
    """Choose an index as ``--index auto`` does.

    Parameters
    ----------
    n_rows, n_dims : int
    memory : float, optional
        Bytes that are free; enough by default.
    recall : float
        Target share of the true ten most similar.
    """
    if n_rows < FEW_ROWS:
        return Choice(FLAT, None, f"{n_rows:,} rows: under {FEW_ROWS:,} all are compared")
    if recall >= 1:
        return Choice(FLAT, None, "a recall of 1 is requested: all rows are compared")
    reduced = REDUCED_DIMS if n_dims > REDUCED_DIMS else None
    axes = f", on {reduced} principal axes of {n_dims} dimensions" if reduced else ""
    takes = n_rows * find_kind("hnsw").bytes_a_row(reduced or n_dims)
    if n_rows > MANY_ROWS:
        why = f"{n_rows:,} rows: beyond {MANY_ROWS:,} a graph takes long to build"
        return Choice("ivfpq", reduced, why + axes)
    if memory is not None and takes > SHARE_OF_MEMORY * memory:
        why = f"a graph of {n_rows:,} rows takes {_gb(takes)}, and {_gb(memory)} are free"
        return Choice("ivfpq", reduced, why + axes)
    why = f"{n_rows:,} rows: a graph of {_gb(takes)} answers in a millisecond or so"
    return Choice("hnsw", reduced, why + axes)


def check_wanted(name: str, recall: float) -> None:
    """Refuse an index that there is not, or a recall that is none, before anything is read.

    Raises
    ------
    UsageError
    """
    if name not in ("auto", FLAT):
        find_kind(name)
    if not 0 < recall <= 1:  # NaN is refused too
        raise UsageError(f"--recall {recall:g}: give more than 0, at most 1")


def wanted_index(
    name: str, reduced_dims: int | None, n_rows: int, n_dims: int, *, recall: float
) -> Choice:
    """Return the index that was requested, or one chosen for this machine.

    Parameters
    ----------
    name : str
        ``auto``, or one of :data:`analyze.neighbors.indexes.index_types.NAMES`.
    reduced_dims : int, optional
        Principal axes that were requested.
    n_rows, n_dims : int
    recall : float

    Raises
    ------
    UsageError
        When the axes are more than the dimensions of a row.
    """
    check_wanted(name, recall)
    if reduced_dims is not None and reduced_dims > n_dims:
        raise UsageError(f"--index-dims {reduced_dims}: rows have {n_dims} dimensions, give fewer")
    if name == "auto":
        found = choose_index(n_rows, n_dims, memory=free_memory(), recall=recall)
    else:
        found = Choice(name, None, "as requested")
    if reduced_dims is None:
        return found
    if found.name == FLAT:
        return replace(found, why=f"{found.why}, as they are: --index-dims is not used")
    return replace(
        found, reduced_dims=reduced_dims, why=f"{found.why}; {reduced_dims} axes requested"
    )


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
