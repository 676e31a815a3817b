"""The table of backbones, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from extract.backbones.registry import BACKBONES, weights_are_here


def list_models() -> list[dict[str, Any]]:
    """Return a row for each backbone of the table, by the keys of the JSON."""
    return [
        {
            "model": name,
            "source": f"package {spec.packaged.package}" if spec.packaged else "Hugging Face hub",
            "tag": spec.model.tagged,
            "n_dims": spec.n_dims,
            "input_size": spec.input_size,
            "pooling": spec.pooling,
            "weights_license": spec.weights_license,
            "weights_here": weights_are_here(spec),
        }
        for name, spec in BACKBONES.items()
    ]


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """Spell the rows of :func:`list_models` for people."""
    lines = [
        f"{'model':<19} {'dims':>4} {'input':>5} {'pooling':<7}  {'weights':<30} "
        f"{'license':<12} {'source':<40} here"
    ]
    lines += [
        f"{row['model']:<19} {row['n_dims']:>4} {row['input_size']:>5} {row['pooling']:<7}  "
        f"{row['tag']:<30} {row['weights_license']:<12} {row['source']:<40} "
        f"{'yes' if row['weights_here'] else 'no'}"
        for row in rows
    ]
    lines.append("and timm:NAME for any other model of timm, hf:REPO for one of transformers")
    return "\n".join(lines)
