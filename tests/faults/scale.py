"""A file of a million rows: what laying it out, opening, checking and resuming it takes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

LEFT_TO_DO = 1_000
BLOCK = 4_096
STEPS = ("start", "lay_out", "fill", "open", "check", "resume", "grow")
"""In the order in which they follow on one another; each runs in a process of its own."""


def measure(rows: int, dims: int, folder: Path | None, limit_mb: int) -> int:
    """Print seconds and peak memory of each step over a process that only has torch loaded."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        words = [sys.executable, "-m", "tests.faults.scale", work, str(rows), str(dims)]
        found = []
        for step in STEPS:
            done = subprocess.run([*words, step], capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr)
            found.append(json.loads(done.stdout))
    before = found[0]["peak_mb"]
    for step in found[1:]:
        rate = f", {step['gb_per_second']:.2f} GB/s" if "gb_per_second" in step else ""
        print(
            f"{step['step']:8} {step['seconds']:7.1f} s, "
            f"{step['peak_mb'] - before:6.0f} MB over {before:.0f} MB{rate}"
        )
    judged = [step for step in found[1:] if step["step"] != "fill"]  # that is this script's own
    return int(max(step["peak_mb"] for step in judged) - before > limit_mb)


def run_step(work: Path, n_rows: int, n_dims: int, step: str) -> dict[str, Any]:
    """Do one step; its own time, and the peak of this process's memory."""
    import torch  # noqa: F401 - its size belongs to the start

    import extract.pipeline.extraction  # noqa: F401

    began = time.monotonic()
    extra: dict[str, Any] = {}
    if step != "start":
        extra = globals()[f"_{step}"](work, n_rows, n_dims) or {}
    return {
        "step": step,
        "seconds": round(time.monotonic() - began, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **extra,
    }


def _catalog(work: Path, n_rows: int, more: int = 0) -> Any:
    """Name a million products whose pictures are a thousand files."""
    from small_catalogs import draw_noise

    from extract.catalog.catalog import Catalog

    folder = work / "pictures"
    if not folder.exists():
        for i in range(1_000):
            draw_noise(folder / f"{i:03d}.png", i)
    ids = tuple(f"Household >> Kitchen/product-{i:08d}.jpg" for i in range(n_rows + more))
    paths = tuple(f"{i % 1_000:03d}.png" for i in range(n_rows + more))
    return Catalog("shop", folder.resolve(), ids, paths)


def _backbone(n_dims: int) -> Any:
    import torch
    from small_catalogs import tiny_backbone

    tiny = tiny_backbone()
    tiny.model.append(torch.nn.Linear(8, n_dims))
    object.__setattr__(tiny, "n_dims", n_dims)
    return tiny


def _path(work: Path) -> Path:
    return work / "million.h5"


def _lay_out(work: Path, n_rows: int, n_dims: int) -> None:
    from extract.inference.execution_config import choose_execution_config
    from extract.storage.embeddings import Provenance
    from extract.storage.layout import lay_out

    backbone = _backbone(n_dims)
    provenance = Provenance(backbone.identity, (choose_execution_config(backbone, None),))
    lay_out(_path(work), _catalog(work, n_rows), provenance, n_dims)


def _fill(work: Path, n_rows: int, n_dims: int) -> None:
    """Make all rows but the last thousand sound, each of a content of its own."""
    from extract.sources.places import stat_picture
    from extract.storage.embeddings_file import read_table
    from extract.storage.embeddings_table import Rows, blank_fields
    from extract.storage.row_writer import RowWriter

    catalog = _catalog(work, n_rows)
    stats = np.array([stat_picture(catalog.images_root, p) for p in catalog.paths[:1_000]])
    rng = np.random.default_rng(0)
    writer = RowWriter(read_table(_path(work)))
    for first in range(0, n_rows - LEFT_TO_DO, BLOCK):
        places = np.arange(first, min(first + BLOCK, n_rows - LEFT_TO_DO))
        vectors = rng.normal(size=(len(places), n_dims)).astype(np.float32)
        rows = Rows(vectors=vectors, **blank_fields(len(places)))
        rows.status[:] = 1
        rows.content_sha256[:] = rng.integers(0, 256, rows.content_sha256.shape)
        rows.size[:], rows.mtime_ns[:] = stats[places % 1_000].T
        writer.write(places, rows)
        writer.sync()
    writer.close()


def _open(work: Path, n_rows: int, n_dims: int) -> None:
    from extract.storage.embeddings_file import read_table

    assert read_table(_path(work)).rows.vectors.shape == (n_rows, n_dims)


def _check(work: Path, n_rows: int, n_dims: int) -> dict[str, float]:
    from extract.storage.embeddings_file import read_table

    table = read_table(_path(work))
    began = time.monotonic()
    n_sound = int(table.sound().sum())
    assert n_sound == n_rows - LEFT_TO_DO, n_sound
    return {"gb_per_second": n_rows * n_dims * 4 / (time.monotonic() - began) / 1e9}


def _resume(work: Path, n_rows: int, n_dims: int) -> None:
    _embed(work, n_rows, n_dims, more=0)


def _grow(work: Path, n_rows: int, n_dims: int) -> None:
    _embed(work, n_rows, n_dims, more=LEFT_TO_DO)


def _embed(work: Path, n_rows: int, n_dims: int, more: int) -> None:
    from extract.pipeline.extraction import extract_embeddings

    catalog = _catalog(work, n_rows, more)
    report = extract_embeddings(catalog, _backbone(n_dims), _path(work))
    assert report.embedded == LEFT_TO_DO, report
    assert report.to_do == 0, report


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    words = sys.argv[1:]
    print(json.dumps(run_step(Path(words[0]), int(words[1]), int(words[2]), words[3])))
