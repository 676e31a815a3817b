"""The text of explanations, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analyze.explanation.evaluation.evaluation import Score
from analyze.explanation.evaluation.figure import title_of_method
from analyze.explanation.reporting.gathered import Gathered
from analyze.explanation.sheets import title_of
from analyze.explanation.targets import Target
from analyze.presentation import wording
from extract.ids import shown
from extract.storage.embeddings import titled

MOST_LINES = 24


def explanations_text(target: Target, gathered: Gathered, result: Mapping[str, Any]) -> str:
    """Say what was explained, and what else was found."""
    lines = [result["file"], *explanation_lines(target, gathered, result)]
    return "\n".join([*lines, *wording.closing(result)])


def explanation_lines(target: Target, gathered: Gathered, result: Mapping[str, Any]) -> list[str]:
    """Say the same, without the file before it and the notes behind it."""
    lines = [f"{titled(result)} · {title_of(target)}", *map(_line, result["items"][:MOST_LINES])]
    if len(result["items"]) > MOST_LINES:
        lines.append(f"and {len(result['items']) - MOST_LINES} more in explanations.csv")
    empty = sum(item["empty"] is not None for item in result["items"])
    if empty:
        lines.append(f"{empty} of {len(result['items'])} maps are empty, and not drawn")
    lines += _more_lines(gathered)
    lines += [f"not explained: {shown(each['id'])}, {each['reason']}" for each in result["missing"]]
    return lines


def _line(item: Mapping[str, Any]) -> str:
    parts = [f"{shown(item['id'])}: {item['asked']}"]
    if item["probability"] is not None:
        parts[0] += f" {item['probability']:.2f}"
    else:
        parts[0] += f" {item['value']:.3f}"
    if item["threshold"] is not None:
        parts[0] += f" (threshold {item['threshold']:.2f})"
        parts.append(f"predicted {', '.join(item['predicted_labels']) or 'no label'}")
    elif item["predicted"] not in (None, item["asked"]):
        parts.append(f"predicted {item['predicted']}")
    if item["held_out_predicted"] is not None:
        parts.append(f"held out {', '.join(item['held_out_predicted']) or 'no label'}")
    if item["true"] is not None:
        parts.append(f"true {shown(item['true'])}")
    where = item["empty"] or "highest at x {}, y {}".format(*item["peak"])
    return "  ".join([*parts, where])


def _more_lines(found: Gathered) -> list[str]:
    """Say how far sums are off, and what maps are worth."""
    lines = []
    for method, shares in found.shares.items():
        errors = [each.attribution.error for each in shares]
        known = [error for error in errors if error is not None]
        if known:
            lines.append(
                f"{title_of_method(method)}: the sum of shares is off by {np.median(known):.1%} in "
                f"the median, {max(known):.1%} at most"
            )
    if found.scored is not None:
        lines.append("area under insertion, deletion; difference to a map of noise, p")
        lines += [_score_line(score) for score in found.scored.scores]
    return lines


def _score_line(score: Score) -> str:
    parts = [f"{title_of_method(score.method)}: {wording.estimate(score.insertion)}"]
    parts.append(wording.estimate(score.deletion))
    if score.insertion_gain is not None:
        gain = wording.estimate(score.insertion_gain, signed=True)
        p = "" if score.insertion_p is None else f", p {score.insertion_p:.3f}"
        parts.append(f"{gain}{p}")
    if score.pointing is not None:
        parts.append(f"points into {score.pointing.mean:.0%} of the boxes")
    if score.unchanged is not None:
        parts.append(f"like random weights' {score.unchanged.mean:+.2f}")
    if score.n_empty:
        parts.append(f"{score.n_empty} empty")
    return "  ".join(parts)
