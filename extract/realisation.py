"""How rows are computed, and the record of a run: what stands in the file beside its identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from extract.backbones import Backbone, choose_device
from extract.embeddings_file import read_table
from extract.embeddings_table import EmbeddingsTable
from extract.errors import UsageError
from extract.plan import DENSE

DEFAULT_BATCH_SIZE = 8
RECORDED_PACKAGES = ("sosie", "torch", "timm", "pillow", "numpy", "h5py")


def choose_realisation(
    backbone: Backbone,
    table: EmbeddingsTable | None,
    *,
    batch_size: int | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Say how this run computes; batch size and threads are those of most rows unless told.

    Equal slices on equal threads give equal bits, so a resumed file equals an uninterrupted one.
    """
    import torch

    stored: Mapping[str, Any] = table.usual_realisation() if table else {}
    return {
        "decoder": "reference",
        "resize": "pillow",
        "dtype": "fp32",
        "runtime": "eager",
        "device": backbone.device.split(":")[0],
        "batch_size": batch_size or stored.get("batch_size") or DEFAULT_BATCH_SIZE,
        "threads": threads or stored.get("threads") or torch.get_num_threads(),
    }


def device_for(path: Path, wanted: str) -> str:
    """Take the device named; ``auto`` is that of most of the file's rows, where it is here.

    Raises
    ------
    UsageError
        When the device named is not here.
    EmbeddingsFileError
        When there is a file that cannot be read.
    """
    if wanted == "auto" and path.exists():
        stored = str(read_table(path).usual_realisation().get("device"))
        with suppress(UsageError):
            return choose_device(stored)
    return choose_device(wanted)


def described(realisation: Mapping[str, Any]) -> str:
    """Spell in a few words how rows are computed."""
    said = {k: realisation.get(k, "unknown") for k in ("device", "batch_size", "threads", "dtype")}
    return "on {device}, batches of {batch_size}, {threads} threads, {dtype}".format(**said)


def ways_of(table: EmbeddingsTable) -> list[str]:
    """Count the sound rows that were computed in each way, in words."""
    ways = table.provenance.realisations
    return [
        f"{len(rows):,} {described(ways[i]) if i < len(ways) else 'in a way not recorded'}"
        for i, rows in table.rows_by_realisation().items()
    ]


def run_record(
    backbone: Backbone,
    table: EmbeddingsTable | None,
    given: Mapping[str, Any],
    *,
    dense: bool = False,
) -> dict[str, Any]:
    """Describe a run: model as typed, what the caller adds, dates, versions, kind of batches."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    created = table.provenance.record.get("created") if table else None
    return {
        "model": backbone.name,
        **given,
        "created": created or now,
        "updated": now,
        "versions": versions_of(RECORDED_PACKAGES),
        **({"batches": DENSE} if dense else {}),
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
