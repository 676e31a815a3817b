"""How rows are computed, and the record of a run: what stands in the file beside its identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from extract.allocation import keep_freed_memory
from extract.backbones import Backbone
from extract.embeddings_file import EmbeddingsTable

DEFAULT_BATCH_SIZE = 8
RECORDED_PACKAGES = ("sosie", "torch", "timm", "pillow", "numpy", "h5py")


def choose_realisation(
    backbone: Backbone,
    table: EmbeddingsTable | None,
    *,
    batch_size: int | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Say how this run computes; batch size and threads are the file's unless told.

    Equal slices on equal threads give equal bits, so a resumed file equals an uninterrupted one.
    """
    import torch

    stored: Mapping[str, Any] = table.provenance.realisations[-1] if table else {}
    return {
        "decoder": "reference",
        "resize": "pillow",
        "dtype": "fp32",
        "runtime": "eager",
        "device": backbone.device.split(":")[0],
        "batch_size": batch_size or stored.get("batch_size") or DEFAULT_BATCH_SIZE,
        "threads": threads or stored.get("threads") or torch.get_num_threads(),
    }


def apply_realisation(realisation: Mapping[str, Any]) -> None:
    """Make this process compute as said; fp32 means fp32 also on a GPU."""
    import torch

    keep_freed_memory()
    torch.set_num_threads(realisation["threads"])
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def run_record(
    backbone: Backbone, table: EmbeddingsTable | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe a run: model as typed, what the caller adds, dates, versions."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    created = table.provenance.record.get("created") if table else None
    return {
        "model": backbone.name,
        **given,
        "created": created or now,
        "updated": now,
        "versions": versions_of(RECORDED_PACKAGES),
    }


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Name the installed versions of packages, for a record."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
