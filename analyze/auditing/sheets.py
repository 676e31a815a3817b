"""Findings as pictures: a contact sheet of each kind, and thumbnails in a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analyze.auditing.checks import Check
from analyze.auditing.findings import Finding, Scored
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation.contact_sheet import Tile, draw_sheet
from extract.catalog.catalog import Level
from extract.ids import shown

MOST_ROWS = 8
"""Pictures with their evidence, a row each."""

MOST_ALONE = 24
COLUMNS = 6
THUMBNAIL = 96
MOST_THUMBNAILS = 6
JPEG_QUALITY = 80


@dataclass(frozen=True, eq=False)
class Listed:
    """One kind of finding, and the worst of them.

    Parameters
    ----------
    check : Check
    scored : Scored
    findings : sequence of Finding
    """

    check: Check
    scored: Scored
    findings: Sequence[Finding]


def draw_findings(listed: Listed, level: Level | None, pictures: PictureFolder) -> Any:
    """Draw the pictures with one kind of finding, the worst first, their evidence next to them."""
    check, scored = listed.check, listed.scored
    alone = not any(each.evidence for each in listed.findings)
    found = listed.findings if alone else listed.findings[:MOST_ROWS]
    row_of = {row_id: row for row, row_id in enumerate(pictures.embeddings.ids)}
    tiles = []
    for each in found:
        tiles.append(_tile(each, pictures, row_of))
        if not alone:
            tiles += _evidence(level, each.evidence[: COLUMNS - 1], pictures, row_of)
    more = len(scored) - len(found)
    return draw_sheet(
        tiles,
        title=f"{check.title}: {len(scored):,} of {len(row_of):,}",
        subtitle=f"score: {check.unit}, from {scored.threshold:.3g} on; suggested: {check.action}"
        + (f"; {more:,} more are not drawn" if more > 0 else "")
        + ("" if alone else "; each with its evidence to the right"),
        columns=COLUMNS,
    )


def _tile(found: Finding, pictures: PictureFolder, row_of: dict[str, int]) -> Tile:
    lines = [shown(found.id)]
    if found.label is not None:
        wanted = [f"→ {shown(found.suggested_label)}"] if found.suggested_label else []
        lines += [shown(found.label), *wanted]
    picture = pictures.show(row_of[found.id])
    return Tile(picture, f"{found.score:.3g}", [*lines, found.reason], is_query=True)


def _evidence(
    level: Level | None, ids: Sequence[str], pictures: PictureFolder, row_of: dict[str, int]
) -> list[Tile]:
    """Give a row's tiles of evidence, filled up so that the next finding begins a row."""
    tiles = []
    for each in ids:
        label = None if level is None else level.value(row_of[each])
        lines = [shown(each), *([shown(label)] if label else [])]
        tiles.append(Tile(pictures.show(row_of[each]), "", lines))
    return tiles + [EMPTY] * (COLUMNS - 1 - len(tiles))


EMPTY = Tile(None, "", is_empty=True)


def as_html(listed: Sequence[Listed], pictures: PictureFolder | None, notes: Sequence[str]) -> str:
    """Return findings as a table of HTML: counts, thresholds and thumbnails of the worst."""
    head = "".join(f"<th>{word}</th>" for word in ("finding", "n", "threshold", "the worst"))
    rows = []
    ids = () if pictures is None else pictures.embeddings.ids
    row_of = {row_id: row for row, row_id in enumerate(ids)}
    for each in listed:
        found = each.findings[:MOST_THUMBNAILS]
        shown_pictures = "".join(_thumbnail(one, pictures, row_of) for one in found)
        rows.append(
            f'<tr><td title="{html.escape(each.scored.why)}">{html.escape(each.check.title)}</td>'
            f"<td>{len(each.scored):,}</td><td>{each.scored.threshold:.3g}</td>"
            f"<td>{shown_pictures}</td></tr>"
        )
    below = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{below}"


def _thumbnail(found: Finding, pictures: PictureFolder | None, row_of: dict[str, int]) -> str:
    words = html.escape(f"{shown(found.id)}: {found.reason}", quote=True)
    picture = None
    if pictures is not None and pictures.root is not None:
        picture = pictures.open(row_of[found.id])
    if picture is None:
        return f'<code title="{words}">{html.escape(shown(found.id))}</code> '
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img title="{words}" alt="{words}" src="data:image/jpeg;base64,{data}"> '
