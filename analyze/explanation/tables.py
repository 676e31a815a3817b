"""What programs read of explanations: JSON items, a table, arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analyze.explanation.explanation import Explanation
from analyze.explanation.targets import Target

HEADER = (
    *("id", "method", "target", "of", "asked", "class", "probability", "value"),
    *("predicted", "predicted_probability", "true", "peak_x", "peak_y", "empty", "sheet"),
    *("threshold", "held_out_probability"),
)


def items(
    explanations: Sequence[Explanation], method: str, target: Target, sheets: Sequence[str]
) -> list[dict[str, Any]]:
    """Spell explanations of one method with the keys that programs read.

    Parameters
    ----------
    sheets : sequence of str
        Where each is drawn.
    """
    return [
        _item(each, method, target, sheet) for each, sheet in zip(explanations, sheets, strict=True)
    ]


def _item(found: Explanation, method: str, target: Target, sheet: str) -> dict[str, Any]:
    peak = found.peak(method)
    return {
        **found.question.to_json(target),
        "method": method,
        "value": found.value,
        "peak": None if peak is None else list(peak),
        "empty": found.why_empty(method),
        "sheet": sheet,
    }


def rows(items: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Lay items out under :data:`HEADER`."""
    out = []
    for item in items:
        x, y = item["peak"] or (None, None)
        given = {**item, "peak_x": x, "peak_y": y}
        out.append([given[name] for name in HEADER])
    return out


def write_arrays(path: Path, explanations: Sequence[Explanation], methods: Sequence[str]) -> None:
    """Write maps as they are, row by row as in the table, and where they lie.

    ``ids`` and ``methods`` (n,), ``maps`` (n, rows, columns), ``seen`` (n, 4): left, top, right
    and bottom of a map in pixels of the upright picture, ``sizes`` (n, 2): its width and height.
    """
    each = [(found, method) for method in methods for found in explanations]
    places = [found.place for found, _ in each]
    np.savez_compressed(
        path,
        ids=np.array([found.question.subject.id for found, _ in each]),
        methods=np.array([method for _, method in each]),
        maps=np.stack([found.maps[method] for found, method in each]),
        seen=np.array([[p.left, p.top, p.right, p.bottom] for p in places], np.float64),
        sizes=np.array([[p.width, p.height] for p in places]),
    )
