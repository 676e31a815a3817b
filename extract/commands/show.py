"""``python -m extract show``: what a file holds and how it came to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from extract import command_line as cl

if TYPE_CHECKING:
    from extract.storage.embeddings_table import EmbeddingsTable

MOST_REFUSALS = 50
MOST_IDS = 10


@cl.command()
def show(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An embeddings file.")],
    common: cl.Common,
) -> None:
    """Show identity, realisations, record, counts, and refused pictures with their reasons."""
    from extract.storage.embeddings_file import read_table
    from extract.storage.failures import read_refusals

    workspace = common.workspace()
    path = workspace.find_file(file)
    table = read_table(path)
    refusals = read_refusals(table)
    result = {
        "file": workspace.relative(path),
        "identity": dict(table.provenance.identity),
        "rules": table.provenance.rules,
        "realisations": [dict(r) for r in table.provenance.realisations],
        "record": dict(table.provenance.record),
        "counts": table.counts(),
        "n_images": len(table),
        "n_dims": table.n_dims,
        "rows_by_realisation": _ways(table),
        "refused": refusals,
    }
    common.print_result(result, _text(result, refusals))


def _ways(table: EmbeddingsTable) -> list[dict[str, Any]]:
    """Say how many rows were computed in each way; of all but the most usual way, which."""
    ways = table.rows_by_realisation()
    usual = max(ways, key=lambda i: len(ways[i]), default=None)
    return [
        {
            "realisation": i,
            "n_rows": len(rows),
            "ids": None if i == usual else [table.ids[row] for row in rows.tolist()],
        }
        for i, rows in ways.items()
    ]


def _text(result: dict[str, Any], refusals: list[dict[str, Any]]) -> str:
    from extract.ids import shown

    counts = result["counts"]
    refused = cl.counted(counts["refused"]) or "none"
    lines = [
        f"{result['file']}: {result['n_images']} rows of {result['n_dims']} numbers",
        f"sound {counts['sound']}, to do {counts['to_do']}, refused: {refused}"
        + (f", damaged {counts['damaged']}" if "damaged" in counts else ""),
    ]
    for part in ("identity", "rules", "record"):
        lines.append(f"{part}:")
        said = {k: v for k, v in result[part].items() if (part, k) != ("identity", "rules")}
        lines += [shown(f"  {k}: {_plain(v)}") for k, v in said.items()]
    lines.append("realisations:")
    lines += [shown(f"  {i}: {_plain(r)}") for i, r in enumerate(result["realisations"])]
    for way in result["rows_by_realisation"]:
        ids = way["ids"] or []
        named = ", ".join(shown(i) for i in ids[:MOST_IDS]) + (
            ", ..." if len(ids) > MOST_IDS else ""
        )
        lines.append(
            f"  {way['n_rows']} rows by {way['realisation']}" + (f": {named}" if ids else "")
        )
    if refusals:
        lines.append("refused pictures:")
        lines += [
            f"  {shown(r['id'])}: {r['code']} ({shown(r['message'])})"
            for r in refusals[:MOST_REFUSALS]
        ]
    if len(refusals) > MOST_REFUSALS:
        lines.append(f"  and {len(refusals) - MOST_REFUSALS} more: --json lists them all")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    return value if isinstance(value, str) else json.dumps(value)
