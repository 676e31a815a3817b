"""The run folders in ``results/``: what was typed when, on which catalogue, and its main answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from analyze.presentation.result import Result, Table, table_of
from analyze.presentation.wording import lined_up
from extract.command_line import counted_pictures
from extract.errors import SosieError, UsageError
from extract.files.strict_json import read_json
from extract.ids import shown
from extract.workspace import Workspace

RUN_NAME = re.compile(r"(\d{8}T\d{6}Z)-([a-z_]+)(-\d+)?")
RECORD = "run.json"
MOST_BYTES = 1 << 28
"""Of a record: one with every confusion of a hundred thousand pictures is far smaller."""

LONGEST = 60
HEADER = ("run", "command", "written", "catalog", "model", "answer")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One run folder.

    Parameters
    ----------
    name : str
        Of the folder: UTC time and command.
    record : mapping
        What ``run.json`` holds; empty where it cannot be read.
    """

    name: str
    record: Record

    @property
    def command(self) -> str:
        """The command by its name; ``analyze`` is the default one."""
        found = RUN_NAME.fullmatch(self.name)
        return found[2] if found else "-"

    @property
    def catalog(self) -> str:
        """The catalogue of its first embeddings file."""
        parts = PurePosixPath(self._files()[0]).parts if self._files() else ()
        return plain(parts[-2]) if len(parts) > 1 else "-"

    @property
    def model(self) -> str:
        """The backbone; of several, each once."""
        named = [self.record.get("model")]
        for key in ("models", "rows"):
            rows = [] if named[0] else rows_of(self.record, key)
            named += [row.get("model") for row in rows]
        found = dict.fromkeys(name for name in named if isinstance(name, str))
        return plain(", ".join(found)) or "-"

    def to_json(self) -> dict[str, Any]:
        """Return what is known of the run with the keys that programs read."""
        return {
            "run": self.name,
            "command": self.command,
            "typed": _text_or_none(self.record.get("command")),
            "written": _text_or_none(self.record.get("written")),
            "catalog": self.catalog,
            "model": self.model,
            "answer": answer_of(self),
        }

    def _files(self) -> list[str]:
        files = self.record.get("files")
        listed = files if isinstance(files, list) else []
        each = [self.record.get("embeddings"), *listed, self.record.get("file")]
        return [file for file in each if isinstance(file, str)]


@dataclass(frozen=True, repr=False)
class RunList(Result):
    """The runs of a workspace, the newest first."""

    runs: tuple[Run, ...]

    def to_json(self) -> dict[str, Any]:
        """Return ``runs``, one object per folder."""
        return {"runs": [run.to_json() for run in self.runs]}

    def text(self) -> str:
        """Return a line per run."""
        if not self.runs:
            return "no run is here: python -m analyze"
        described = [run.to_json() for run in self.runs]
        rows = [[plain(str(each[name] or "-")) for name in HEADER] for each in described]
        return "\n".join(lined_up([HEADER, *rows], left=range(len(HEADER))))

    def tables(self) -> Mapping[str, Table]:
        """Return the table ``runs``."""
        header = ("run", "command", "typed", "written", "catalog", "model", "answer")
        return {"runs": table_of([run.to_json() for run in self.runs], header)}


def list_runs(workspace: Workspace) -> RunList:
    """List the run folders of a workspace, the newest first; other folders are passed over."""
    folders = workspace.results
    there = folders.iterdir() if folders.is_dir() else ()
    names = [p.name for p in there if RUN_NAME.fullmatch(p.name) and _is_run_folder(p)]
    return RunList(tuple(_read(folders / name) for name in sorted(names, reverse=True)))


def find_run(workspace: Workspace, name: str) -> Run:
    """Read one run by the name of its folder, a path to it, or ``latest``.

    Raises
    ------
    UsageError
        When there is none.
    SosieError
        When its record cannot be read.
    """
    within = workspace.results / name
    folder = within if within.is_dir() else workspace.find_file(name)
    if not folder.is_dir():
        raise UsageError(f"no run {shown(name)!r}: python -m analyze runs lists those there are")
    run = _read(folder.resolve())
    if not run.record:
        raise SosieError(f"{shown(str(folder / RECORD))} is not there or damaged: name another run")
    return run


def answer_of(run: Run) -> str:
    """Spell a run's main answer, as in ``ari 0.517``; a dash where others wrote none."""
    with suppress(LookupError, TypeError, ValueError, AttributeError, OverflowError):
        return plain(ANSWERS[run.command](run.record))
    return "-"


def rows_of(record: Record, key: str) -> list[Record]:
    """Return the objects in a list of a record; what is none of them is passed over."""
    rows = record.get(key)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain(text: str) -> str:
    """Spell a text of a file for a terminal, cut where it is long."""
    spelled = shown(text)
    return spelled if len(spelled) <= LONGEST else f"{spelled[: LONGEST - 1]}…"


def _is_run_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _read(folder: Path) -> Run:
    return Run(folder.name, read_record(folder))


def read_record(folder: Path) -> Record:
    """Return the record of a run folder; an empty one where it cannot be read."""
    path, record = folder / RECORD, None
    with suppress(OSError, ValueError):
        if path.is_file() and path.stat().st_size <= MOST_BYTES:  # a pipe would be waited for
            record = read_json(path.read_bytes())
    return record if isinstance(record, dict) else {}


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _of_clusters(record: Record) -> str:
    scores = {name: value for name, value in record["scores"].items() if is_number(value)}
    name = "ari" if "ari" in scores else "silhouette"
    return f"{name} {scores[name]:.3f}"


def _of_comparison(record: Record) -> str:
    cells = rows_of(record, "cells")
    best = max((c for c in cells if c["metric"] == cells[0]["metric"]), key=lambda c: c["mean"])
    return f"{best['metric']} {best['mean']:.3f} ({best['model']}, {best['reduction']})"


def _of_ranking(record: Record) -> str:
    best = rows_of(record, "rows")[0]
    return f"{best['metric']} {best['value']:.3f} ({best['model']})"


def _of_retrieval(record: Record) -> str:
    best = max((r for r in rows_of(record, "rows") if r["metric"] == "map"), key=_value)
    return f"map {best['value']:.3f} ({best['model']})"


def _value(row: Record) -> float:
    return float(row["value"])


def _of_head(record: Record) -> str:
    if "accuracy" in record:
        return f"accuracy {record['accuracy']['mean']:.3f}"
    return f"{len(rows_of(record, 'against'))} heads"


def _of_robustness(record: Record) -> str:
    rows = [row for row in rows_of(record, "families") if row["metric"] == "recall_at_1"]
    row = next((row for row in rows if row["family"] == "all"), rows[0])
    return f"recall@1 {row['value']:.3f} ({row['model']}, {row['family']})"


def _of_audit(record: Record) -> str:
    n = len(record["findings"])
    return f"{n:,} {'finding' if n == 1 else 'findings'}"


ANSWERS: Mapping[str, Callable[[Record], str]] = {
    "analyze": _of_clusters,
    "compare": _of_comparison,
    "rank": _of_ranking,
    "retrieval": _of_retrieval,
    "head": _of_head,
    "robustness": _of_robustness,
    "audit": _of_audit,
    "predict": lambda record: (
        f"{counted_pictures(record['n_images'])}, {record['abstained']:d} abstained"
    ),
    "explain": lambda record: f"{len(record['items'])} explanations",
    "catalog": lambda record: (
        f"{counted_pictures(record['n_images'])}, {len(record['classes'])} classes"
    ),
}
"""How the main answer of a command is spelled, by the command's name."""
