"""How texts for people spell scores, intervals and notes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from analyze.presentation.interval_axes import HasInterval
from extract.command_line import counted

WIDEST_NAME = 48


def score(value: float) -> str:
    """Spell a score with three digits, never as a negative zero."""
    return f"{round(value, 3) + 0:.3f}"


def score_or_dash(value: float | None) -> str:
    """Spell a score, or that there is none."""
    return "-" if value is None else score(value)


def estimate(found: HasInterval, *, signed: bool = False) -> str:
    """Spell a mean with its interval, where there is one."""
    sign = "+" if signed else ""
    mean = f"{round(found.mean, 3) + 0:{sign}.3f}"
    if found.low is None or found.high is None:
        return mean
    low, high = (f"{round(v, 3) + 0:{sign}.3f}" for v in (found.low, found.high))
    return f"{mean} ({low} to {high})"


def scores(values: Mapping[str, float | None], start: str = "") -> list[str]:
    """Spell scores on one line, those that can be had; no line without any."""
    parts = [f"{name} {score(value)}" for name, value in values.items() if value is not None]
    return [start + "  ".join(parts)] if parts else []


def elided(name: str, widest: int = WIDEST_NAME) -> str:
    """Cut a long name in its middle: the end of a path, or of a backbone's name, tells most."""
    if len(name) <= widest:
        return name
    return f"{name[: widest // 3]}…{name[widest // 3 + 1 - widest :]}"


def geometry(made: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say the geometry that all vectors share; nothing where names tell it of each."""
    from extract.storage.embeddings import UNKNOWN

    resizes = {each["resize"] for each in made}
    return [f"resize {resize}" for resize in resizes - {UNKNOWN}] if len(resizes) == 1 else []


def left_out(by_reason: Mapping[str, int]) -> list[str]:
    """Return a line with the rows of the file that are not in an answer; no line where all are."""
    return [f"left out: {counted(by_reason)}"] if by_reason else []


def lined_up(rows: Sequence[Sequence[str]], *, left: Collection[int]) -> list[str]:
    """Line up the columns of a table: some to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def notes(parts: Iterable[str]) -> list[str]:
    """Give a line for each note."""
    return [f"note: {note}" for note in parts]


def closing(result: Mapping[str, Any]) -> list[str]:
    """Give the last lines: notes, and where the results lie."""
    return [*notes(result["notes"]), f"results: {result['results']}"]
