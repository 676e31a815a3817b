"""What the commands' texts for people share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from extract.command_line import counted


def score(value: float) -> str:
    """Spell a score with three digits, never as a negative zero."""
    return f"{round(value, 3) + 0:.3f}"


def scores(values: Mapping[str, float | None], start: str = "") -> list[str]:
    """Spell scores on one line, those that can be had; no line without any."""
    said = [f"{name} {score(value)}" for name, value in values.items() if value is not None]
    return [start + "  ".join(said)] if said else []


def left_out(result: Mapping[str, Any]) -> list[str]:
    """Say which rows of the file are not in an answer; no line where all are."""
    by_reason = result["left_out_by_reason"]
    return [f"left out: {counted(by_reason)}"] if by_reason else []


def closing(result: Mapping[str, Any]) -> list[str]:
    """Give the last lines: notes, and where the results lie."""
    return [*(f"note: {note}" for note in result["notes"]), f"results: {result['results']}"]
