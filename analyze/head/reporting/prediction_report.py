"""Predictions of a stored head: as JSON, as a table, as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analyze.head.prediction.head_file import StoredHead
from analyze.head.prediction.predictions import Predictions
from analyze.head.reporting.tables import Table
from analyze.presentation import wording
from extract.catalog.catalog import ids_fingerprint
from extract.command_line import counted_pictures
from extract.ids import shown
from extract.refusals import SOUND, TO_DO, Reason
from extract.storage.embeddings_file import read_table
from extract.storage.labels_file import labels_path, read_labels

MOST_CLASSES = 12
EARLIER = "head of an earlier version: unlike pictures are not marked; train it again"


def predictions_json(
    stored: StoredHead, found: Predictions, left_out: Mapping[str, int]
) -> dict[str, Any]:
    """Spell answers with the keys that programs read.

    Parameters
    ----------
    left_out : mapping of str to int
        Pictures without a prediction, by reason.
    """
    return {
        **stored.provenance.to_json(),
        "level": stored.levels[-1],
        "levels": list(stored.levels),
        "n_images": len(found.ids),
        "abstain_below": found.abstain_below,
        "abstained": int(found.abstained.sum()),
        "n_unlike": None if found.unlike is None else int(found.unlike.sum()),
        "unlike_above": stored.vectors.unlike_above if stored.vectors else None,
        "share_unlike_tested": stored.about.get("share_unlike"),
        "classes": found.counts(),
        "left_out": sum(left_out.values()),
        "left_out_by_reason": dict(left_out),
        "notes": _notes(stored, found),
    }


def _notes(stored: StoredHead, found: Predictions) -> list[str]:
    """Say what the head's files lack, and of how many pictures the answer is no news."""
    training_ids = stored.training_ids
    n_in_training = sum(row_id in training_ids for row_id in found.ids)
    notes = [*stored.notes, *([] if stored.vectors else [EARLIER])]
    if not n_in_training:
        return notes
    return [
        *notes,
        f"{n_in_training} of {len(found.ids)} pictures are of the training set: their answers "
        "is no measure of the head",
    ]


def predictions_table(path: Path, found: Predictions) -> Table:
    """A row a picture of the file; those without a vector have the reason.

    Of a catalogue of averaged products, a row a product; the reason is that of its first.

    Parameters
    ----------
    path : Path
        Of the embeddings.
    """
    header, *answered = found.table()
    yield [*header, "not_asked"]
    table = read_table(path)
    of_id = {row[0]: [*row, ""] for row in answered}
    status = np.where(table.refused() | (table.rows.status == TO_DO), table.rows.status, SOUND)
    why = {SOUND: "damaged", TO_DO: "to do", **{int(r): r.code for r in Reason}}
    blank = [""] * (len(header) - 1)
    labels = read_labels(labels_path(path), ids_fingerprint(table.ids), len(table))
    reasons: dict[str, int] = {}
    for row_id, how in zip(labels.products or table.ids, status.tolist(), strict=True):
        reasons.setdefault(row_id, how)
    for row_id, how in reasons.items():
        yield of_id.get(row_id) or [row_id, *blank, why.get(how, "unknown")]


def predictions_text(result: Mapping[str, Any]) -> str:
    """Say what :func:`predictions_json` spells, of the file under ``embeddings``."""
    counts = sorted(result["classes"].items(), key=lambda item: (-item[1], item[0]))
    width = max(len(shown(name)) for name, _ in counts)
    levels = f"level{'s' * (len(result['levels']) > 1)} {', '.join(result['levels'])}"
    lines = [f"{result['embeddings']}: {counted_pictures(result['n_images'])}, {levels}"]
    lines += wording.left_out(result["left_out_by_reason"])
    lines += [f"{shown(name):<{width}}  {n:>6}" for name, n in counts[:MOST_CLASSES]]
    if len(counts) > MOST_CLASSES:
        lines.append(f"and {len(counts) - MOST_CLASSES} more classes")
    if result["abstain_below"]:
        lines.append(f"{result['abstained']} less probable than {result['abstain_below']:g}: empty")
    if result["n_unlike"]:
        tested = result["share_unlike_tested"]
        lines.append(
            f"{result['n_unlike']} unlike all that the head was trained on: farther than "
            f"{result['unlike_above']:.3f} from the nearest"
            + (
                f"; of the pictures it was tested on {tested:.1%} are"
                if isinstance(tested, int | float)
                else ""
            )
        )
    lines.append(f"every picture: {result['file']}")
    return "\n".join([*lines, *wording.closing(result)])
