"""What differs between two runs: options, settings, versions, inputs and scores."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analyze.presentation.result import Result, Table
from analyze.presentation.wording import lined_up
from analyze.run_history.run_folders import Record, Run, is_number, plain, rows_of

NO_SETTINGS = {"command", "written", "results", "file", "files", "embeddings", "doubt"}
NAMING = ("model", "resize", "pooling", "reduction", "clustering", "level", "class", "metric", "k")
"""What tells the rows of a table of scores from each other."""

HASH = re.compile("[0-9a-f]{64}")
SHORT_HASH = 12

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """One value that two runs do not share; None where a run lacks it."""

    kind: str
    name: str
    a: Any
    b: Any

    def to_json(self) -> dict[str, Any]:
        """Return its name and both values."""
        return {"name": self.name, "a": self.a, "b": self.b}


@dataclass(frozen=True, repr=False)
class RunDifferences(Result):
    """Two runs compared.

    Parameters
    ----------
    a, b : Run
    found : tuple of Difference
        Of the kinds ``options``, ``settings``, ``versions`` and ``inputs``.
    scores : tuple of Difference
        All scores of both, those that are equal too.
    """

    a: Run
    b: Run
    found: tuple[Difference, ...]
    scores: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Return both runs, the differences by kind, and the scores of both."""
        kinds = {
            kind: [each.to_json() for each in self.found if each.kind == kind]
            for kind in ("options", "settings", "versions", "inputs")
        }
        scores = [{**each.to_json(), "difference": _minus(each)} for each in self.scores]
        return {"a": self.a.to_json(), "b": self.b.to_json(), **kinds, "scores": scores}

    def text(self) -> str:
        """Return a line per difference, and how many scores are equal."""
        lines = [f"a  {self.a.name}", f"b  {self.b.name}"]
        rows = [[d.kind, plain(d.name), _spelled(d.a), _spelled(d.b), ""] for d in self.found]
        other = [each for each in self.scores if each.a != each.b]
        for each in other:
            change = _minus(each)
            rows.append(
                [
                    "scores",
                    plain(each.name),
                    _spelled(each.a),
                    _spelled(each.b),
                    "" if change is None else f"{change:+.3f}",
                ]
            )
        lines += lined_up([("", "", "a", "b", "b - a"), *rows], left=range(4)) if rows else []
        equal = len(self.scores) - len(other)
        if equal:
            lines.append(f"{equal} score{'s are' if equal > 1 else ' is'} equal")
        return "\n".join(lines if rows or equal else [*lines, "nothing differs"])

    def tables(self) -> Mapping[str, Table]:
        """Return the table ``differences``, scores last."""
        rows = [[d.kind, d.name, d.a, d.b] for d in (*self.found, *self.scores)]
        return {"differences": [["kind", "name", "a", "b"], *rows]}


def compare_runs(a: Run, b: Run) -> RunDifferences:
    """Compare two runs by their records.

    Parameters
    ----------
    a, b : Run
        As :func:`~analyze.run_history.run_folders.find_run` reads them.
    """
    parts = {
        "options": _options,
        "settings": _settings,
        "versions": _versions,
        "inputs": _inputs,
    }
    found = tuple(
        each
        for kind, of in parts.items()
        for each in _both(kind, of(a.record), of(b.record))
        if each.a != each.b
    )
    return RunDifferences(a, b, found, tuple(_both("scores", _scores(a.record), _scores(b.record))))


def _both(kind: str, a: Values, b: Values) -> Iterator[Difference]:
    for name in dict.fromkeys((*a, *b)):
        yield Difference(kind, name, a.get(name), b.get(name))


def _options(record: Record) -> dict[str, str]:
    """Read what was typed: each option with what follows it, and the words before them."""
    typed = record.get("command")
    try:
        words = shlex.split(typed) if isinstance(typed, str) else []
    except ValueError:
        words = []
    found: dict[str, list[str]] = {}
    option = "command"
    for word in words:
        name, equal, value = word.partition("=")
        if name.startswith("--"):
            option = name
            found.setdefault(option, []).extend([value] if equal else [])
        else:
            found.setdefault(option, []).append(word)
    return {name: " ".join(values) or "given" for name, values in found.items()}


def _settings(record: Record) -> Values:
    """Take the single values at the top: what was settled, typed or by default."""
    single = {k: v for k, v in record.items() if isinstance(v, str | int | float | bool | None)}
    return {name: value for name, value in single.items() if name not in NO_SETTINGS}


def _versions(record: Record) -> Values:
    versions = record.get("versions")
    return versions if isinstance(versions, dict) else {}


def _inputs(record: Record) -> Values:
    """Take the hashes of each input: identity, vectors and labels."""
    inputs = record.get("inputs")
    each = rows_of(record, "inputs") if isinstance(inputs, list) else [inputs]
    return {
        f"{name} of input {i}" if len(each) > 1 else name: value
        for i, hashes in enumerate(each, start=1)
        if isinstance(hashes, dict)
        for name, value in hashes.items()
    }


def _scores(record: Record) -> dict[str, float]:
    """Collect the scores of a record under names that both runs have in common."""
    found: dict[str, float] = {}
    scores = record.get("scores")
    if isinstance(scores, dict):
        found |= {name: value for name, value in scores.items() if is_number(value)}
    for row in rows_of(record, "cells") or rows_of(record, "rows"):
        name = " ".join(str(row[key]) for key in NAMING if row.get(key) is not None)
        value = row.get("mean", row.get("value"))
        if is_number(value):
            found[name] = value
    accuracy = record.get("accuracy")
    if isinstance(accuracy, dict) and is_number(accuracy.get("mean")):
        found["accuracy"] = accuracy["mean"]
    baselines = record.get("baselines")
    for name, of in baselines.items() if isinstance(baselines, dict) else ():
        if isinstance(of, dict) and is_number(of.get("accuracy")):
            found[f"accuracy of {name}"] = of["accuracy"]
    return found


def _minus(each: Difference) -> float | None:
    return each.b - each.a if is_number(each.a) and is_number(each.b) else None


def _spelled(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.3f}" if isinstance(value, float) else plain(str(value))
    return text[:SHORT_HASH] if HASH.fullmatch(str(value)) else text
