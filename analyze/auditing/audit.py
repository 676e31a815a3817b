"""The audit of a catalogue: what is measured once, and findings at thresholds of one's choice."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analyze.auditing.checks import BY_NAME, CHECKS, Check
from analyze.auditing.decisions import decision_table
from analyze.auditing.findings import Finding, Scored
from analyze.auditing.measurements import Bars, Measurements, measure_catalog, no_bars
from analyze.auditing.sheets import MOST_ALONE, Listed, as_html, draw_findings
from analyze.inputs import LevelOrLabels, as_sets
from analyze.measures.levels import choose_level, no_labels
from analyze.neighbors.indexes.exact_search import Index
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation import wording
from analyze.presentation.result import Draw, Result, Table, table_of
from extract.catalog.catalog import MISSING_LABEL, Level
from extract.command_line import counted_pictures
from extract.errors import UsageError, one_of
from extract.ids import bytes_of, shown
from extract.storage.arrays import Vectors
from extract.storage.embeddings import EmbeddingSet
from extract.workspace import AnyPath, Workspace

COLUMNS = (
    "id",
    "finding",
    "score",
    "evidence",
    "suggested_action",
    "label",
    "suggested_label",
    "reason",
    "reason_key",
    "reason_values",
)
BETWEEN = " | "
"""What stands between the ids of a cell."""

WIDEST, WIDEST_ID = 79, 32
"""Characters of a line of the text, and of an id in it."""

MOST_ERRORS = 0.25
"""Of the pictures: labels are seldom so wrong."""


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Result):
    """What is to be mended in a catalogue.

    Parameters
    ----------
    measured : Measurements
    scored : mapping of str to Scored
        By check, of those that could be made.
    pictures : PictureFolder or None
        Where sheets are to be drawn.
    notes : tuple of str
    """

    measured: Measurements
    scored: Mapping[str, Scored]
    pictures: PictureFolder | None = None
    notes: tuple[str, ...] = field(default=())

    def at(self, **thresholds: float) -> Audit:
        """The same audit at other thresholds; nothing is computed again.

        Parameters
        ----------
        thresholds : float
            By the names of checks: ``blurred=2.0``.

        Raises
        ------
        UsageError
            When there is no such check, or it could not be made.
        """
        scored = dict(self.scored)
        for name, threshold in thresholds.items():
            one_of(name, BY_NAME, "check")
            if name not in scored:
                raise UsageError(f"{name} needs {BY_NAME[name].needs}, which are not there")
            scored[name] = scored[name].at(threshold)
        return replace(self, scored=scored)

    def findings(self, check: str | None = None, most: int | None = None) -> list[Finding]:
        """What was found, the worst first.

        Parameters
        ----------
        check : str, optional
            One kind of finding; all without it, check by check.
        most : int, optional
            Of each kind.
        """
        if check is not None:
            one_of(check, BY_NAME, "check")
        wanted = [each for each in CHECKS if check in (None, each.name)]
        return [
            self._finding(each, place)
            for each in wanted
            if each.name in self.scored
            for place in range(
                min(len(self.scored[each.name]), most or len(self.measured.by_bytes))
            )
        ]

    def _finding(self, check: Check, place: int) -> Finding:
        scored, embeddings = self.scored[check.name], self.measured.embeddings
        row, found = int(scored.rows[place]), scored.evidence(place)
        level = self.measured.level
        label = None if level is None else level.value(row)
        evidence = tuple(embeddings.ids[other] for other in found.rows)
        rows = [row, *(found.rows if check.is_bound else ())]
        return Finding(
            embeddings.ids[row],
            check.name,
            float(scored.scores[place]),
            evidence,
            check.action,
            found.reason,
            label,
            found.label,
            key_of(embeddings, check.name, rows, label),
        )

    def to_json(self) -> dict[str, Any]:
        """Spell counts, thresholds and findings with the keys that programs read."""
        embeddings, level = self.measured.embeddings, self.measured.level
        return {
            **embeddings.provenance.to_json(),
            "n_images": len(embeddings),
            "left_out": sum(embeddings.left_out.values()),
            "left_out_by_reason": dict(embeddings.left_out),
            "level": level.name if level else None,
            "checks": [
                {
                    "finding": name,
                    "n": len(scored),
                    "threshold": scored.threshold,
                    "why": scored.why,
                    "unit": BY_NAME[name].unit,
                    "action": BY_NAME[name].action,
                }
                for name, scored in self.scored.items()
            ],
            "findings": [found.to_json() for found in self.findings()],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """Return how many pictures have each finding, the worst of them, and what to do next."""
        embeddings, level = self.measured.embeddings, self.measured.level
        lines = [f"{counted_pictures(len(embeddings))}, {_classes(level)}"]
        lines += wording.left_out(embeddings.left_out)
        rows = [["finding", "pictures", "from score", "suggested", "the worst"]]
        for name, scored in self.scored.items():
            for worst in self.findings(name, 1):
                limit = f"{scored.threshold:.3g}" if scored.threshold else "-"
                shortened = wording.elided(shown(worst.id), WIDEST_ID)
                rows.append([name, f"{len(scored):,}", limit, worst.action, shortened])
        lines += wording.lined_up(rows, left=(0, 3, 4)) if len(rows) > 1 else []
        none = [name for name, scored in self.scored.items() if not len(scored)]
        lines += _folded(f"not found: {', '.join(none)}") if none else []
        if "copy" in self.scored:
            lines += _folded(f"copies: {self.scored['copy'].why}")
        if len(rows) > 1:
            look = "look at sheet-*.png, " if self.figures() else ""
            lines += _folded(
                f"next: {look}write keep, remove or relabel into the column decision of "
                "decisions.csv, then type the same command and"
            )
            lines.append("  --apply results/latest/decisions.csv")  # in one piece, to be copied
        return "\n".join([*lines, *wording.notes(self.notes)])

    def tables(self) -> dict[str, Table]:
        """Return ``audit``, a row a finding, and ``decisions``, the same to be filled in."""
        findings = self.findings()
        level = self.measured.level
        listed = [
            {
                **found.to_json(),
                "score": f"{found.score:.6g}",
                "evidence": BETWEEN.join(found.evidence),
                "suggested_action": found.action,
                "reason_values": json.dumps(found.because.to_json()["values"], ensure_ascii=False),
            }
            for found in findings
        ]
        decided = decision_table(findings, level.name if level else None)
        return {"audit": table_of(listed, COLUMNS), "decisions": decided}

    def figures(self) -> dict[str, Draw]:
        """Return a sheet for each kind of finding that there is, where there are pictures."""
        pictures = self.pictures
        if pictures is None or pictures.root is None:
            return {}
        return {
            f"sheet-{each.check.name}": partial(draw_findings, each, self.measured.level, pictures)
            for each in self._listed()
            if len(each.scored)
        }

    def _repr_html_(self) -> str:
        """The findings as a table with thumbnails, for notebooks."""
        return as_html(self._listed(), self.pictures, self.notes)

    def _listed(self) -> list[Listed]:
        """The worst findings of each kind."""
        return [
            Listed(BY_NAME[name], scored, self.findings(name, MOST_ALONE))
            for name, scored in self.scored.items()
        ]


def _classes(level: Level | None) -> str:
    if level is None:
        return "no labels"
    n = len(np.unique(level.codes[level.codes != MISSING_LABEL]))
    classes = f"{n:,} class" if n == 1 else f"{n:,} classes"
    return f"{classes} of level {shown(level.name)}"


def _folded(line: str) -> list[str]:
    return textwrap.wrap(line, WIDEST, subsequent_indent="  ", break_on_hyphens=False)


def key_of(embeddings: EmbeddingSet, finding: str, rows: Sequence[int], label: str | None) -> str:
    """Give a key of a finding, its pictures' bytes and label: another finding, another key.

    It begins with a letter: spreadsheets make numbers of digits alone, and of 2e286403.
    """
    digest = hashlib.sha256(f"{finding}\0{label}".encode("utf-8", "surrogateescape"))
    for row in rows:
        digest.update(b"\0" + bytes_of(embeddings.ids[row]) + b"\0")
        known = embeddings.content_sha256
        content = embeddings.vectors[row] if known is None else known[row]
        digest.update(np.ascontiguousarray(content).tobytes())
    return f"k{digest.hexdigest()[:8]}"


def audit(
    vectors: EmbeddingSet | Vectors,
    level: LevelOrLabels = None,
    *,
    images: AnyPath | None = None,
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Audit:
    """Audit a catalogue: copies, bad pictures, outliers, likely label errors, and what to do.

    Parameters
    ----------
    vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
    level : str, int or labels, optional
        The level with the labels that are judged; the first without. Or labels themselves.
    images : path, optional
        The folder of the pictures, where it lies outside the working directory. Without pictures
        their quality is not judged, and copies are found by vectors alone.
    thresholds : mapping of str to float, optional
        By check, in place of those chosen; :meth:`Audit.at` takes others later.
    seed : int
        Of folds and clusters.

    Raises
    ------
    UsageError
        When there is no such level, check or folder.

    Examples
    --------
    >>> from analyze import audit
    >>> X = [[1, 0], [1, 0.1], [1, 0], [0, 1], [0.1, 1]]
    >>> audit(X).findings("copy")[0].evidence
    ('0',)
    """
    (embeddings,), named = as_sets(vectors, level)
    chosen = choose_level(embeddings.levels, named, embeddings.multi_labels)
    given = None if images is None else Path(images)
    pictures = PictureFolder.of(embeddings, Workspace.find(), given)
    found = audit_catalog(embeddings, chosen, pictures, seed=seed)
    return found.at(**thresholds) if thresholds else found


def audit_catalog(
    embeddings: EmbeddingSet,
    level: Any,
    pictures: PictureFolder | None,
    *,
    index: Index | None = None,
    seed: int = 0,
    bars: Bars = no_bars,
) -> Audit:
    """Audit a catalogue with what a command has of it.

    Parameters
    ----------
    As of :func:`analyze.auditing.measurements.measure_catalog`.
    """
    measured = measure_catalog(embeddings, level, pictures, index=index, seed=seed, bars=bars)
    scored = {check.name: check.find(measured) for check in CHECKS if check.may_look(measured)}
    notes = list(measured.notes)
    if measured.pictures is None:
        notes.append(
            "no picture was opened, so quality and variants were not looked for, and copies by "
            "vectors alone" + ("" if pictures is None else ": give their folder with --images DIR")
        )
    elif pictures is not None:
        notes += pictures.notes()
    if level is None:
        notes.append(f"{no_labels(embeddings.multi_labels)}: labels were not judged")
    elif measured.labels is None:
        group, several = embeddings.group_column, len(np.unique(level.codes[level.codes >= 0])) > 1
        why = f"one {shown(group)} for each class" if group and several else "one class"
        notes.append(f"level {shown(level.name)} has {why}: labels were not judged")
    elif measured.labels.n_errors > MOST_ERRORS * len(embeddings):
        notes.append(
            f"{measured.labels.n_errors:,} labels are at odds with confident answers: these "
            "vectors hardly tell the classes of this level, so few of them may be errors"
        )
    return Audit(measured, scored, pictures, tuple(notes))
