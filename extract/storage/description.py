"""What an embeddings file holds and how it came to be, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extract.command_line import counted
from extract.ids import shown
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import EmbeddingsTable
from extract.storage.failures import read_refusals
from extract.workspace import Workspace

MOST_REFUSALS = 50
MOST_IDS = 10


def describe_file(workspace: Workspace, path: Path) -> dict[str, Any]:
    """Return identity, execution configs, record, counts and refusals, by the JSON keys.

    Raises
    ------
    EmbeddingsFileError
        When the file cannot be read.
    """
    table = read_table(path)
    return {
        "file": workspace.relative(path),
        "identity": dict(table.provenance.identity),
        "rules": table.provenance.rules,
        "realisations": [dict(r) for r in table.provenance.execution_configs],
        "record": dict(table.provenance.record),
        "counts": table.counts(),
        "n_images": len(table),
        "n_dims": table.n_dims,
        "rows_by_realisation": _ways(table),
        "refused": read_refusals(table),
    }


def _ways(table: EmbeddingsTable) -> list[dict[str, Any]]:
    """Say how many rows were computed in each way; of all but the most usual way, which."""
    ways = table.rows_by_execution_config()
    usual = max(ways, key=lambda i: len(ways[i]), default=None)
    return [
        {
            "realisation": i,
            "n_rows": len(rows),
            "ids": None if i == usual else [table.ids[row] for row in rows.tolist()],
        }
        for i, rows in ways.items()
    ]


def as_text(described: Mapping[str, Any]) -> str:
    """Spell what :func:`describe_file` returns for people."""
    result, counts, refusals = described, described["counts"], described["refused"]
    refused = counted(counts["refused"]) or "none"
    lines = [
        f"{result['file']}: {result['n_images']} rows of {result['n_dims']} numbers",
        f"sound {counts['sound']}, to do {counts['to_do']}, refused: {refused}"
        + (f", damaged {counts['damaged']}" if "damaged" in counts else ""),
    ]
    for part in ("identity", "rules", "record"):
        lines.append(f"{part}:")
        kept = {k: v for k, v in result[part].items() if (part, k) != ("identity", "rules")}
        lines += [shown(f"  {k}: {_plain(v)}") for k, v in kept.items()]
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
