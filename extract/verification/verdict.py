"""The verdict on an embeddings file: every check, and what to type where one failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.errors import EmbeddingsFileError, LaterFormat, NotSound
from extract.ids import shown
from extract.inference.execution_config import usable_cores
from extract.storage.catalog_roots import pictures_root
from extract.storage.embeddings_file import read_table
from extract.verification.checks import Check, is_sound, verify
from extract.verification.evidence import find_backbone, gather
from extract.workspace import Workspace

MOST_ROWS = 20
MARKS = {True: "ok", False: "FAILED", None: "not checked"}

NEW_FILE = "embed the catalogue into a new file, python -m extract --output FILE"
UPGRADE = "upgrade sosie, and verify again"
READ_AGAIN = (
    "run python -m extract again: it redoes the rows that an earlier version read otherwise "
    "(color profiles, depth), and where that is not all, --restart"
)
RESTART = "compute every row again, python -m extract --restart"
NEXT = {
    "readable": "move it away and run python -m extract again",
    "golden": "this installation computes other vectors: reinstall torch, torchvision, timm and "
    "pillow, and verify again",
    "weights": "give the weights that were embedded with, --weights FILE, or " + NEW_FILE,
    "ids": NEW_FILE,
    "counts": RESTART,
    "finite": RESTART,
    "not_constant": RESTART,
    "doubled": RESTART,
    "recomputed": RESTART,
    "contents": "compute what has changed by content, python -m extract --rehash",
    "check_sums": "run python -m extract again, which redoes damaged rows and a damaged record",
}
"""What to type where a check failed, the furthest-reaching first: it mends the others as well."""


@dataclass(frozen=True)
class Verdict:
    """Whether a file is sound, and what to type next where it is not."""

    file: str
    checks: tuple[Check, ...]
    way_out: str | None = None

    @property
    def sound(self) -> bool:
        """Whether no check failed."""
        return is_sound(self.checks)

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        listed = [check.to_json() for check in self.checks]
        return {"file": self.file, "sound": self.sound, "checks": listed}

    def text(self) -> str:
        """Spell it for people: a line a check, the wrong rows, and what to type next."""
        lines = [shown(self.file)]
        for check in self.checks:
            lines.append(f"{MARKS[check.passed]:<12} {check.name:<13} {shown(check.detail)}")
            lines += [f"{'':<12} {'':<13} {shown(row_id)}" for row_id in check.rows[:MOST_ROWS]]
            if len(check.rows) > MOST_ROWS:
                more = f"and {len(check.rows) - MOST_ROWS} more: --json lists them all"
                lines.append(f"{'':<12} {'':<13} {more}")
        passed = [check.passed for check in self.checks]
        counts = ((True, "passed"), (False, "failed"), (None, "not checked"))
        line = ", ".join(f"{passed.count(v)} {what}" for v, what in counts if v in passed)
        lines.append(
            f"{'sound' if self.sound else 'not sound'}: {line}"
            + (f"; {self.way_out}" if self.way_out else "")
        )
        return "\n".join(lines)

    def check(self) -> None:
        """Raise :class:`~extract.errors.NotSound` where a check failed."""
        if not self.sound:
            failed = ", ".join(check.name for check in self.checks if check.passed is False)
            raise NotSound(f"{self.file} is not sound ({failed}): {self.way_out}")


def verify_file(
    workspace: Workspace,
    path: Path,
    *,
    images: Path | None = None,
    weights: Path | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Check every row, read every picture that is there, and compute some rows again.

    Parameters
    ----------
    images : Path, optional
        Where the pictures are; the file's own folder, if it is in the workspace, without it.
    weights : Path, optional
        Where the file's weights came from a file.
    seed : int
        Draws the rows that are computed again.

    Raises
    ------
    EmbeddingsFileError
        When there is no such file; one that cannot be read is not sound.
    """
    name = workspace.relative(path)
    try:
        table = read_table(path)
    except EmbeddingsFileError as error:
        if not path.is_file():
            raise
        way_out = UPGRADE if isinstance(error, LaterFormat) else NEXT["readable"]
        return Verdict(name, (Check("readable", False, str(error)),), way_out)
    pictures = pictures_root(workspace, table.provenance, images)
    here, workers = find_backbone(table.provenance, weights), usable_cores()
    checks = verify(
        gather(table, here, root=pictures, seed=seed, workers=workers, progress=progress)
    )
    failed = [check.name for check in checks if check.passed is False]
    if failed == ["recomputed"] and not table.provenance.names_readings:
        return Verdict(name, checks, READ_AGAIN)
    return Verdict(name, checks, next((NEXT[check] for check in NEXT if check in failed), None))
