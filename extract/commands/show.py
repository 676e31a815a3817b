"""``python -m extract show``: what a file holds and how it came to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from extract import command_line as cl

MOST_REFUSALS = 50


def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An embeddings file.")],
    root: cl.RootOption = None,
    as_json: cl.JsonOption = False,
    verbose: cl.VerboseOption = 0,
    quiet: cl.QuietOption = False,
) -> None:
    """Show identity, realisations, record, counts, and refused pictures with their reasons."""
    cl.set_up(verbose, quiet)
    from extract.embeddings_file import read_table
    from extract.failures import read_refusals
    from extract.workspace import Workspace

    workspace = Workspace.find(root)
    path = workspace.find_file(file)
    table = read_table(path)
    refusals = read_refusals(table)
    result = {
        "file": workspace.relative(path),
        "identity": dict(table.provenance.identity),
        "realisations": [dict(r) for r in table.provenance.realisations],
        "record": dict(table.provenance.record),
        "counts": table.counts(),
        "n_images": len(table),
        "n_dims": table.n_dims,
        "refused": refusals,
    }
    cl.print_result(as_json, result, _text(result, refusals))


def _text(result: dict[str, Any], refusals: list[dict[str, Any]]) -> str:
    from extract.catalog import shown

    counts = result["counts"]
    refused = cl.counted(counts["refused"]) or "none"
    lines = [
        f"{result['file']}: {result['n_images']} rows of {result['n_dims']} numbers",
        f"sound {counts['sound']}, to do {counts['to_do']}, refused: {refused}"
        + (f", damaged {counts['damaged']}" if "damaged" in counts else ""),
    ]
    for part in ("identity", "record"):
        lines.append(f"{part}:")
        lines += [shown(f"  {k}: {_plain(v)}") for k, v in result[part].items()]
    lines.append("realisations:")
    lines += [shown(f"  {i}: {_plain(r)}") for i, r in enumerate(result["realisations"])]
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
