"""A catalogue with decisions applied, as a manifest; no picture and no table is touched."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyze.auditing.audit import key_of
from analyze.auditing.checks import BY_NAME
from analyze.auditing.decisions import KEEP, Decision, read_decisions
from analyze.auditing.findings import RELABEL, REMOVE
from analyze.presentation import wording
from analyze.presentation.result import Result, Table
from extract.catalog.catalog import MAX_LEVELS, Catalog, Level
from extract.command_line import counted_pictures
from extract.errors import UsageError
from extract.ids import shown
from extract.storage.catalog_listing import listed_catalog
from extract.storage.embeddings import EmbeddingSet
from extract.tables import column_names, spelled_cell

MANIFEST = "cleaned"


@dataclass(frozen=True, eq=False, repr=False)
class Cleaned(Result):
    """A catalogue as it is once decisions are applied.

    Parameters
    ----------
    catalog : Catalog
        Before, with the rows that could not be embedded.
    separator : str or None
        What stands between the levels of a label.
    decisions : tuple of Decision
    """

    catalog: Catalog
    separator: str | None
    decisions: tuple[Decision, ...]

    @property
    def removed(self) -> set[str]:
        """Ids that are not in the manifest."""
        return {each.id for each in self.decisions if each.decision == REMOVE}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the manifest's columns: id, image, labels, then the others."""
        columns = self.catalog.columns
        return "id", "image", *column_names(("id", "image"), self._label_names(), columns)

    def _label_names(self) -> list[str]:
        names = [level.name for level in self.catalog.levels]
        if self.separator and names:
            names = [names[0].removesuffix("_1")]
        return names + [column.name for column in self.catalog.multi_labels]

    def to_json(self) -> dict[str, Any]:
        """Spell counts, decisions and the command that takes the manifest."""
        counts = Counter(each.decision for each in self.decisions)
        return {
            "n_before": len(self.catalog),
            "n_images": len(self.catalog) - len(self.removed),
            "decisions": dict(sorted(counts.items())),
            "options": self.options(),
            "notes": self._notes(),
        }

    def options(self) -> list[str]:
        """Return the options with which ``extract`` takes the manifest, its path left out."""
        names = self.columns[2:]
        found = ["--images-dir", str(self.catalog.images_root), "--image-column", "image"]
        found += ["--id-column", "id"]
        if self.catalog.levels or self.catalog.multi_labels:
            found += ["--label-column", names[0]]
        if self.separator:
            found += ["--label-separator", self.separator]
        if self.catalog.multi_labels and not self.catalog.levels:
            found += ["--multi-label-separator", self.catalog.multi_labels[0].separator]
        if self.catalog.group_column is not None:
            at = list(self.catalog.columns).index(self.catalog.group_column)
            found += ["--group-column", names[len(self._label_names()) + at]]
        return [*found, "--catalog", f"{self.catalog.name}-cleaned"]

    def text(self) -> str:
        """Return what was decided, and the command that embeds what is left."""
        result = self.to_json()
        counts = ", ".join(f"{n} to {name}" for name, n in result["decisions"].items())
        command = shlex.join(["python", "-m", "extract", "--manifest", "CSV", *self.options()])
        return "\n".join(
            [
                f"{counted_pictures(result['n_before'])}, {result['n_images']:,} in the manifest; "
                f"decisions: {counts or 'none'}",
                f"to embed it: {command.replace('CSV', f'results/latest/{MANIFEST}.csv')}",
                *wording.notes(result["notes"]),
            ]
        )

    def tables(self) -> Mapping[str, Table]:
        """Return ``cleaned``, the manifest, and ``applied``, a row a decision."""
        applied = [
            (each.id, each.finding, each.decision, each.label if each.decision != KEEP else None)
            for each in self.decisions
        ]
        return {
            MANIFEST: [self.columns, *self._rows()],
            "applied": [("id", "finding", "decision", "label"), *applied],
        }

    def _rows(self) -> list[list[str | None]]:
        catalog, removed = self.catalog, self.removed
        labels = self._labels()
        others = [*(column.texts() for column in catalog.multi_labels), *catalog.columns.values()]
        return [
            [row_id, catalog.paths[row], *(own[row] for own in labels), *(c[row] for c in others)]
            for row, row_id in enumerate(catalog.ids)
            if row_id not in removed
        ]

    def _labels(self) -> list[list[str | None]]:
        """Give a column for each level, or one of the deepest labels; with those decided."""
        levels = self.catalog.levels
        row_of = {row_id: row for row, row_id in enumerate(self.catalog.ids)}
        values = [list(level.values()) for level in levels]
        for each in self.decisions:
            if each.decision in (KEEP, REMOVE):
                continue
            at = _place(levels, each.level)
            values[at][row_of[each.id]] = each.label
            if self.separator:
                for below in values[at + 1 :]:  # of another label there are other ones
                    below[row_of[each.id]] = None
        if self.separator and values:
            return [
                [
                    next((own for own in reversed(row) if own is not None), None)
                    for row in zip(*values, strict=True)
                ]
            ]
        return values

    def _notes(self) -> list[str]:
        notes = []
        if len(self.removed) == len(self.catalog):
            notes.append("no picture is left")
        guarded = sum(
            spelled_cell(text) != text
            for row, row_id in enumerate(self.catalog.ids)
            for text in (row_id, self.catalog.paths[row])
        )
        if guarded:
            notes.append(
                f"{guarded} ids or paths begin with a sign of formulas, or are not UTF-8, and are "
                "written so that a spreadsheet does not run them: correct them by hand"
            )
        lower = [each for each in self.decisions if each.decision not in (KEEP, REMOVE)]
        if self.separator and len(self.catalog.levels) > 1 and lower:
            notes.append("a new label stands alone: levels below that of the old one are empty")
        if self.separator and len(self.catalog.levels) == MAX_LEVELS:
            notes.append(
                f"labels hold {MAX_LEVELS} levels, as many as are stored: deeper ones are not in it"
            )
        if len(self.catalog.levels) > 1 and not self.separator:
            names = ", ".join(shown(level.name) for level in self.catalog.levels[1:])
            notes.append(f"{names}: columns of their own, no longer levels of the labels")
        return notes


def _place(levels: Sequence[Level], name: str | None) -> int:
    names = [level.name for level in levels]
    return names.index(name) if name in names else 0


def apply_decisions(path: Path, decided: Path, embeddings: EmbeddingSet, root: Path) -> Cleaned:
    """Apply a table of decisions to the catalogue of an embeddings file.

    Parameters
    ----------
    path : Path
        Of the embeddings file.
    decided : Path
        ``decisions.csv`` of an audit, filled in.
    embeddings : EmbeddingSet
        Of the file, as it is now.
    root : Path
        Of the workspace.

    Raises
    ------
    UsageError
        With a line for each decision that cannot be applied; then none of them is.
    """
    embeddings.refuse_means("--apply")
    row_of = {row_id: row for row, row_id in enumerate(embeddings.ids)}
    levels = {level.name: level for level in embeddings.levels}

    def key_now(row: Mapping[str, str]) -> str | None:
        check = BY_NAME.get(row["finding"])
        if check is None or row["id"] not in row_of:
            return None
        rows = [row_of[row["id"]]]
        if check.is_bound:
            if row["evidence"] not in row_of:
                return None
            rows.append(row_of[row["evidence"]])
        level = levels.get(row.get("level", ""))
        label = None if level is None else level.value(rows[0])
        return key_of(embeddings, check.name, rows, label)

    listed, separator = listed_catalog(path, root)
    decisions = read_decisions(decided, listed.ids, key_now)
    relabelled = [each.line for each in decisions if each.decision == RELABEL]
    if relabelled and not listed.levels:
        raise UsageError(
            f"line {relabelled[0]}: these pictures have no single labels, so that none can be "
            "relabelled: decide keep or remove, or nothing"
        )
    return Cleaned(listed, separator, decisions)
