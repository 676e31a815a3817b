"""How the memory of a run grows with its pictures: a child process for each number of them."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.photo_files import make_photo_files
from tests.benchmarks.process_costs import forget_peak, peak_bytes

COUNTS = (20_000, 200_000)
MODEL = "timm:test_byobnet"
"""A real model, and the quickest of timm's own small ones: what is measured is what a row takes."""


def measure(counts: list[int] | None = None, model: str = MODEL) -> None:
    """Print the peak of a run over each number of pictures, and what a row adds to it."""
    found = []
    for count in sorted(counts or COUNTS):
        peaks = peaks_of(count, model)
        found.append((count, peaks))
        print(
            f"{count:,} pictures: peak {peaks['run'] / 1e6:.1f} MB, after loading the model "
            f"{peaks['loaded'] / 1e6:.1f} MB; {peaks['seconds']:.0f} s",
            flush=True,
        )
    if len(found) > 1:
        (few, at_few), (many, at_many) = found[0], found[-1]
        each = bytes_a_row((few, at_few["run"]), (many, at_many["run"]))
        print(f"a row adds {each:.0f} bytes to the peak, from {few:,} to {many:,} pictures")


def bytes_a_row(few: tuple[int, float], many: tuple[int, float]) -> float:
    """Say what a picture more adds; numbers of pictures with their peaks in bytes."""
    return (many[1] - few[1]) / (many[0] - few[0])


def peaks_of(count: int, model: str = MODEL) -> dict[str, float]:
    """Make so many tiny JPEGs and embed them in a process of its own; its peaks, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        make_photo_files(Path(folder) / "pictures", count, "tiny")
        words = [sys.executable, "-m", "tests.benchmarks.memory", folder, model]
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        child = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE)
    told: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    return told


def _embed(folder: Path, model: str) -> None:
    from extract.backbones.registry import load_backbone
    from extract.catalog.catalog import list_folder
    from extract.pipeline.extraction import extract_embeddings

    backbone = load_backbone(model, weights="random")
    loaded = peak_bytes()
    forget_peak()
    catalog = list_folder(folder / "pictures")
    report = extract_embeddings(catalog, backbone, folder / "x.h5")
    assert report.embedded == len(catalog)
    print(json.dumps({"loaded": loaded, "run": peak_bytes(), "seconds": report.seconds}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("model")
    _embed(**vars(parser.parse_args()))
