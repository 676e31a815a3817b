"""Decisions of a person on findings, and the cleaned catalogue they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analyze.auditing.findings import RELABEL, REMOVE, Finding
from analyze.presentation.result import Table
from extract.catalog.manifest_table import read_table
from extract.errors import UsageError
from extract.ids import shown
from extract.tables import spelled_cell

KEEP = "keep"
DECISIONS = (KEEP, REMOVE, RELABEL)
DECIDED = ("decision", "new_label")
COLUMNS = (
    *DECIDED,
    "id",
    "finding",
    "suggested_action",
    "label",
    "suggested_label",
    "score",
    "reason",
    "evidence",
    "level",
    "key",
)
NEEDED = ("decision", "id", "finding", "evidence", "key")
MOST_LISTED = 40


@dataclass(frozen=True)
class Decision:
    """What a person wants done about a finding.

    Parameters
    ----------
    line : int
        Of the table.
    id, finding : str
    decision : str
        One of :data:`DECISIONS`.
    label : str or None
        The new one, of ``relabel``.
    level : str or None
        Of the labels.
    """

    line: int
    id: str
    finding: str
    decision: str
    label: str | None
    level: str | None


def decision_table(findings: Sequence[Finding], level: str | None) -> Table:
    """Return findings as a table with two columns to fill in: decision and new_label."""
    rows = [
        (
            "",
            "",
            found.id,
            found.finding,
            found.action,
            found.label,
            found.suggested_label,
            f"{found.score:.6g}",
            found.reason,
            # of the one that a decision depends on; the table of the audit lists all
            found.evidence[0] if found.evidence else "",
            level,
            found.key,
        )
        for found in findings
    ]
    return [COLUMNS, *rows]


def read_decisions(
    path: Path, ids: Iterable[str], key_now: Callable[[Mapping[str, str]], str | None]
) -> tuple[Decision, ...]:
    """Read a table of decisions that was filled in; rows without a decision are passed over.

    Parameters
    ----------
    path : Path
        CSV: comma, semicolon or tab.
    ids : iterable of str
        Of the catalogue as it is now.
    key_now : callable
        Row of the table, with ids as they are -> key of its finding now; None where its evidence
        is gone.

    Raises
    ------
    UsageError
        With a line for each row that cannot be applied; then none of them is.
    CatalogError
        When the file is no table.
    """
    if not path.is_file():
        raise UsageError(f"no file {path}: give the decisions.csv that you filled in, --apply FILE")
    table = read_table(path)
    header, rows = table.header, table.rows
    missing = [column for column in NEEDED if column not in header]
    if missing:
        raise UsageError(
            f"{path} has no column {missing[0]!r}: fill in the decisions.csv of an audit"
        )
    id_of = {spelled_cell(each): each for each in ids}
    wrong: list[str] = []
    decisions: list[Decision] = []
    seen: dict[tuple[str, str], int] = {}
    for line, cells in rows:
        row = dict(zip(header, cells, strict=True))
        if not row["decision"].strip():
            continue
        problem = _problem(row, id_of, seen, key_now)
        if problem is not None:
            wrong.append(f"{table.unit} {line}: {problem}")
            continue
        seen[row["id"], row["finding"]] = line
        label = row.get("new_label") or row.get("suggested_label") or None
        decisions.append(
            Decision(
                line,
                id_of[row["id"]],
                row["finding"],
                row["decision"].strip().lower(),
                label,
                row.get("level") or None,
            )
        )
    wrong += _contradictions(decisions)
    if wrong:
        more = [f"and {len(wrong) - MOST_LISTED} more"] if len(wrong) > MOST_LISTED else []
        many = "a decision" if len(wrong) == 1 else f"{len(wrong)} decisions"
        raise UsageError(
            f"{path}: {many} cannot be applied, so none was; correct these lines, or empty their "
            "decision",
            [*wrong[:MOST_LISTED], *more],
        )
    return tuple(decisions)


def _problem(
    row: Mapping[str, str],
    id_of: Mapping[str, str],
    seen: Mapping[tuple[str, str], int],
    key_now: Callable[[Mapping[str, str]], str | None],
) -> str | None:
    """Say why a decision cannot be applied; None where it can."""
    name, decision = row["id"], row["decision"].strip().lower()
    what = f"{shown(row['finding'])} of {shown(name)!r}"
    if decision not in DECISIONS:
        return f"decision {shown(row['decision'])!r}: give {', '.join(DECISIONS)}, or nothing"
    if name not in id_of:
        return f"no picture has the id {shown(name)!r}"
    if (name, row["finding"]) in seen:
        return f"{what} is decided on line {seen[name, row['finding']]} too"
    if decision == RELABEL and not (row.get("new_label") or row.get("suggested_label")):
        return f"{what} is to be relabelled: give its label in column new_label"
    evidence = id_of.get(row["evidence"], row["evidence"])
    now = key_now({**row, "id": id_of[name], "evidence": evidence})
    if now is None or now != row["key"].strip():
        return f"{what} is gone: the picture, its label or its evidence is not what was audited"
    return None


def _contradictions(decisions: Sequence[Decision]) -> list[str]:
    """Say which pictures are to be removed and relabelled, or get two labels."""
    wrong = []
    first: dict[str, Decision] = {}
    for each in decisions:
        if each.decision == KEEP:
            continue
        before = first.setdefault(each.id, each)
        if (before.decision, before.label if before.decision == RELABEL else None) != (
            each.decision,
            each.label if each.decision == RELABEL else None,
        ):
            wrong.append(
                f"line {each.line}: {shown(each.id)!r} is decided otherwise on line {before.line} "
                f"({_spelled(before)}, here {_spelled(each)})"
            )
    return wrong


def _spelled(each: Decision) -> str:
    return (
        f"{each.decision} as {shown(each.label or '')!r}"
        if each.decision == RELABEL
        else each.decision
    )
