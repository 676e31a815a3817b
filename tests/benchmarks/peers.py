"""What other programs take for the same pictures and weights, each in an environment of its own.

Each peer is installed alone into a virtual environment that borrows torch and all else from the
running one, and runs in a process of its own. What it asks for beside is stood in for where that is
not used for embedding pictures.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog
from extract.errors import in_one_line
from extract.inference.fidelity import cosines

PROJECT = Path(__file__).resolve().parents[2]
OURS = "plain loop"
PEERS = {
    OURS: None,
    "imcluster": "imcluster==0.4.0",
    "img2vec": "img2vec-pytorch==1.0.2",
    "thingsvision": "thingsvision==2.7.3",
}
"""By name: what is installed; nothing for the plain loop, which runs beside them for comparison."""

SECONDS = 900
"""For one run of a peer."""


@dataclass(frozen=True)
class Told:
    """What a peer's run said: milliseconds of CPU a picture, and its rows."""

    cpu_ms: float
    vectors: np.ndarray


def measure_peers(
    catalog: Catalog, backbone: Backbone, rounds: int, naive: np.ndarray
) -> dict[str, Any]:
    """Run every peer in turn, round after round; print a line each, and give the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_pictures_out(catalog, folder)
        job = {"model": backbone.name, "weights": backbone.weights["source"], "folder": name}
        job["resize"] = backbone.preprocessing.resize
        (folder / "job.json").write_text(json.dumps(job))
        pythons: dict[str, Path | str] = {
            peer: install(package, folder / peer) for peer, package in PEERS.items()
        }
        told: dict[str, list[Told | str]] = {peer: [] for peer in PEERS}
        for _ in range(rounds):
            for peer, python in pythons.items():
                went = told[peer]
                if not any(isinstance(each, str) for each in went):
                    went.append(_run(python, peer, folder) if isinstance(python, Path) else python)
    return {peer: _described(peer, went, told[OURS], naive) for peer, went in told.items()}


def install(package: str | None, folder: Path) -> Path | str:
    """Make a virtual environment that sees the running one's packages; its Python, or why not."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if package is None:
        return python
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, package]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"does not install: {_last_line(done.stderr)}"
    shutil.rmtree(Path(site, "tests"), ignore_errors=True)  # a peer's own, which would hide these
    return python


def _lay_pictures_out(catalog: Catalog, folder: Path) -> None:
    """Name the pictures so that every program lists them in the catalogue's order."""
    (folder / "pictures").mkdir()
    for i, path in enumerate(catalog.paths):
        file = (catalog.images_root / path).resolve()
        (folder / "pictures" / f"{i:07}{file.suffix.lower()}").symlink_to(file)


def _run(python: Path, peer: str, folder: Path) -> Told | str:
    words = [str(python), "-m", "tests.benchmarks.peer_run", peer, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            words,
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"does not end in {SECONDS} s"
    if done.returncode:
        return f"does not run: {_last_line(done.stderr)}"
    return Told(json.loads(_last_line(done.stdout))["cpu_ms"], np.load(folder / f"{peer}.npy"))


def _last_line(text: str) -> str:
    return in_one_line(RuntimeError((text.strip().splitlines() or ["no word"])[-1]))


def _described(
    peer: str, went: list[Told | str], ours: list[Told | str], naive: np.ndarray
) -> dict[str, Any]:
    """Print and give one peer's figures, beside those of the plain loop's own processes."""
    rounds = [each for each in went if isinstance(each, Told)]
    why_not = next((each for each in went if isinstance(each, str)), None)
    if why_not or not rounds:
        print(f"{peer}: {why_not}")
        return {"why_not": why_not}
    cpu = [each.cpu_ms for each in rounds]
    plain = [each.cpu_ms for each in ours if isinstance(each, Told)]
    worst = float(cosines(rounds[-1].vectors, naive).min())
    times = statistics.median(a / b for a, b in zip(plain, cpu, strict=False)) if plain else None
    print(
        f"{peer}: {statistics.median(cpu):.2f} ({min(cpu):.2f}-{max(cpu):.2f}) CPU ms a picture, "
        f"{times or float('nan'):.2f} x the plain loop, worst cosine to it {worst:.6f}",
        flush=True,
    )
    return {"cpu_ms": cpu, "times_plain_loop": times, "worst_cosine": worst}
