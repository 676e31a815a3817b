"""A column of labels: one a picture, a tree of them, or multi-label."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from extract.catalog.catalog import MAX_LEVELS, Level
from extract.catalog.multi_label import MultiLabel
from extract.errors import CatalogError


def label_levels(
    column: str, separator: str | None, cells: Sequence[tuple[str, str]]
) -> tuple[Level, ...]:
    """Read a column of labels as levels.

    Parameters
    ----------
    column : str
        Its name: the level's, with ``_1``, ``_2``, ... when it is cut.
    separator : str or None
        What stands between the levels of a label; None for one level.
    cells : sequence of (str, str)
        Where a cell stands, for errors, and the cell; one a row, empty without a label.

    Raises
    ------
    CatalogError
        When a cell lists more than one label.
    """
    labels = [_one_label(where, column, cell) for where, cell in cells]
    if not any(label.strip() for label in labels):
        return ()
    if separator is None:
        return (Level.from_values(column, [label.strip() or None for label in labels]),)
    trees = [_parts(label, separator) for label in labels]
    depth = min(MAX_LEVELS, max(map(len, trees)))  # 0 where every first part is empty
    return tuple(
        Level.from_values(
            f"{column}_{level}",
            [separator.join(tree[:level]) if len(tree) >= level else None for tree in trees],
        )
        for level in range(1, depth + 1)
    )


def multi_label_columns(
    column: str, separator: str, cells: Sequence[tuple[str, str]], between: str | None = None
) -> tuple[MultiLabel, ...]:
    """Read a multi-label column; nothing where no cell lists a label.

    Labels that are cut into levels give a column a level, named and spelled as levels are.

    Parameters
    ----------
    column : str
    separator : str
        What stands between the labels of a cell; around it spaces do not count. A JSON list of
        strings is a list too, each string cut likewise.
    cells : sequence of (str, str)
        Where a cell stands, for errors, and the cell; one a row, empty without a label.
    between : str, optional
        What stands between the levels of a label.

    Raises
    ------
    CatalogError
        When a cell lists what is no text.
    """
    rows = []
    for where, cell in cells:
        texts = _listed(where, column, cell)
        parts = [part.strip() for text in texts for part in text.split(separator)]
        rows.append({part for part in parts if part})
    if between is None:
        return (MultiLabel.from_values(column, rows, separator),) if any(rows) else ()
    trees = [[_parts(label, between) for label in row] for row in rows]
    depth = min(MAX_LEVELS, max((len(tree) for row in trees for tree in row), default=0))
    return tuple(
        MultiLabel.from_values(
            f"{column}_{level}",
            [{between.join(tree[:level]) for tree in row if len(tree) >= level} for row in trees],
            separator,
        )
        for level in range(1, depth + 1)
    )


def _parts(cell: str, separator: str) -> list[str]:
    """Cut a label at its separator, as typed; from an empty part on there is no label."""
    parts = [part.strip() for part in cell.split(separator)]
    return list(itertools.takewhile(bool, parts))


def _one_label(where: str, column: str, cell: str) -> str:
    """Take the one string out of a JSON-like list; other cells stay as they are."""
    labels = _listed(where, column, cell)
    if len(labels) > 1:
        raise CatalogError(
            f"{where}: column {column!r} lists {len(labels)} values; one label a picture is read, "
            "or more with --multi-label-separator '|'"
        )
    return labels[0] if labels else ""


def _listed(where: str, column: str, cell: str) -> list[str]:
    """Give the strings of a JSON-like list; of any other cell, that cell."""
    bare = cell.strip()
    if not (bare.startswith("[") and bare.endswith("]") and bare[1:].lstrip()[:1] in "\"']"):
        return [cell]
    try:
        values = json.loads(bare)
    except (ValueError, RecursionError):
        return [bare[1:-1].strip().strip("\"'")]  # a list by its look, with quotes not escaped
    if not all(isinstance(value, str) and _is_text(value) for value in values):
        raise CatalogError(f"{where}: column {column!r} holds what is no text")
    return list(values)


def _is_text(label: str) -> bool:
    try:
        return b"\0" not in label.encode()
    except UnicodeEncodeError:  # JSON can spell half a character
        return False
