"""Refused pictures and why: a line each in ``<stem>.failures.jsonl``, append-only."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from extract.files.durability import sync_folder
from extract.files.strict_json import read_json, with_check_sum, without_check_sum
from extract.ids import shown
from extract.refusals import reason_code
from extract.storage.embeddings_table import EmbeddingsTable

log = logging.getLogger("sosie")


def failures_path(embeddings: Path) -> Path:
    """Name the list of refusals of an embeddings file."""
    return embeddings.with_name(f"{embeddings.stem}.failures.jsonl")


def append_refusals(path: Path, refusals: Sequence[dict[str, Any]]) -> None:
    """Append a line for each refused picture, durably."""
    if not refusals:
        return
    text = "".join(json.dumps(with_check_sum(refusal)) + "\n" for refusal in refusals)
    is_new = not path.exists()
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                text = "\n" + text  # a line torn by a kill must not spoil the next one
        file.write(text.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)


def read_refusals(table: EmbeddingsTable) -> list[dict[str, Any]]:
    """List the pictures that are refused now, in the order of their rows.

    The status in the file is the truth; the last line about a picture has its message.
    """
    last_lines: dict[str, dict[str, Any]] = {}
    path = failures_path(table.path)
    if path.is_file():
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            try:
                refusal, _ = without_check_sum(read_json(line))
                last_lines[refusal["id"]] = refusal
            except (ValueError, KeyError, TypeError):
                continue  # a line torn by a kill, before its status was written, or damaged
    now = table.fields_now()
    listed = []
    for row in np.flatnonzero(table.refused(now)):
        row_id, status = table.ids[row], int(now["status"][row])
        code = reason_code(status)
        known = last_lines.get(row_id, {})
        message = known.get("message") if known.get("code") == code else None
        message = message if isinstance(message, str) else ""
        listed.append({"id": row_id, "code": code, "status": status, "message": message})
    unknown = sum(not refusal["message"] for refusal in listed)
    if unknown:
        log.warning(
            "%s: the lines of %d refused pictures are missing or damaged, so why is not known in "
            "words: try them again with python -m extract --retry-failed",
            shown(str(path)),
            unknown,
        )
    return listed
