"""Explanations as JSON, but for what their files add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyze.explanation.explanation import Explanation
from analyze.explanation.reporting.asking import Asked

LOW_COSINE = 0.999


def explanations_json(
    asked: Asked, found: Sequence[Explanation], notes: Sequence[str]
) -> dict[str, Any]:
    """Spell what was asked with the keys that programs read; items and scores are added later."""
    return {
        **asked.vectors.provenance.to_json(),
        "n_images": len(asked.vectors),
        "target": asked.target.name,
        "of": asked.target.of,
        "head": None,
        "seed": asked.seed,
        "items": [],
        "evaluation": [],
        "missing": _missing(asked),
        "notes": [*notes, *asked.pictures.notes(), *_cosine_note(found)],
    }


def _missing(asked: Asked) -> list[dict[str, str]]:
    """List the pictures that were asked for and could not be opened, with the reason."""
    rows = dict.fromkeys(q.subject.row for q in asked.questions if q.subject.row is not None)
    ids, missed = asked.vectors.ids, asked.pictures.missed
    return [{"id": ids[row], "reason": missed[row]} for row in rows if row in missed]


def _cosine_note(found: Sequence[Explanation]) -> list[str]:
    """Say where vectors are others here than in the file."""
    lowest = min(each.cosine for each in found)
    if lowest >= LOW_COSINE:
        return []
    return [
        f"vectors computed here agree with the file's to cosine {lowest:.4f} at worst: the file's "
        "were computed otherwise"
    ]
