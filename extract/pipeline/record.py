"""The record of a run: what a file holds in addition to its numbers; it invalidates nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from extract.backbones.registry import Backbone
from extract.machine.packages import versions_of
from extract.pipeline.plan import DENSE
from extract.storage.embeddings_table import EmbeddingsTable

RECORDED_PACKAGES = (
    "sosie",
    "torch",
    "torchvision",
    "timm",
    "pillow",
    "simplejpeg",
    "pi-heif",
    "torchcodec",
    "pylibjxl",
    "pylibjpeg-openjpeg",
    "openvino",
    "numpy",
    "h5py",
)


def run_record(
    backbone: Backbone,
    table: EmbeddingsTable | None,
    given: Mapping[str, Any],
    *,
    dense: bool = False,
) -> dict[str, Any]:
    """Describe a run: model as typed, what the caller adds, dates, versions, kind of batches."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    before = table.provenance.record if table else {}
    created = before.get("created")
    return {
        "model": backbone.name,
        **given,
        "created": created or now,
        "updated": now,
        "versions": versions_of(RECORDED_PACKAGES),
        **({"batches": DENSE} if dense else {}),
        **({"fidelity": before["fidelity"]} if "fidelity" in before else {}),
    }
