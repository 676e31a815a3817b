"""Explanations as JSON, but for what their files add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyze.explanation.explanation import Explanation
from analyze.explanation.reporting.request import ExplanationRequest

LOW_COSINE = 0.999


def explanations_json(
    request: ExplanationRequest, found: Sequence[Explanation], notes: Sequence[str]
) -> dict[str, Any]:
    """Return the request with the keys that programs read; items and scores are added later."""
    return {
        **request.vectors.provenance.to_json(),
        "n_images": len(request.vectors),
        "target": request.target.name,
        "of": request.target.of,
        "head": None,
        "seed": request.seed,
        "items": [],
        "evaluation": [],
        "missing": _missing(request),
        "notes": [*notes, *request.pictures.notes(), *_cosine_note(found)],
    }


def _missing(request: ExplanationRequest) -> list[dict[str, str]]:
    """List the pictures that were requested and could not be opened, with the reason."""
    rows = dict.fromkeys(q.subject.row for q in request.questions if q.subject.row is not None)
    ids, missed = request.vectors.ids, request.pictures.missed
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
