"""How long a command takes to start, and what memory it takes, alternated with an older version."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from small_catalogs import PROJECT

LITE0 = ("--model", "efficientnet_lite0", "--resize", "crop")
TUNES_OPENBLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")

LAUNCH = """
import json, os, subprocess, sys, time
began = time.perf_counter()
words = [sys.executable, "-m", *sys.argv[1:]]
process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
wall = time.perf_counter() - began
print(json.dumps([wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A small process in between: a peak counts what the process that started it held."""


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds by the clock and of the processor, bytes at its peak."""

    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Version:
    """One version of the program, and a workspace of its own."""

    name: str
    tree: Path
    root: Path
    costs: dict[str, list[Cost]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k not in TUNES_OPENBLAS}
        return {**kept, "PYTHONPATH": str(self.tree), "SOSIE_ROOT": str(self.root)}

    def run(self, words: Sequence[str]) -> Cost:
        """Type a command in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-c", LAUNCH, *words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return Cost(*json.loads(done.stdout))


def measure(images: Path, older: Path, rounds: int, only: list[str] | None) -> None:
    """Type each command with both versions in turn; print medians and their ratios."""
    images = images.resolve()
    with tempfile.TemporaryDirectory() as folder:
        versions = [
            Version("older", older.resolve(), Path(folder, "older")),
            Version("this", PROJECT, Path(folder, "this")),
        ]
        one = next(path for path in sorted(images.iterdir()) if path.suffix == ".jpg")
        (Path(folder) / "one").mkdir()
        shutil.copy(one, Path(folder) / "one")
        catalog = ("extract", "--images", str(images), *LITE0, "--catalog", "shop", "--quiet")
        for version in versions:
            version.root.mkdir()
            version.run(catalog)
        stored = ("--catalog", "shop", "--quiet")
        commands: dict[str, Sequence[str]] = {
            "extract, nothing to do": catalog,
            "analyze, none": ("analyze", "--reduce", "none", "--clusters", "7", *stored),
            "similar by id": ("analyze", "similar", "--query", one.name, *stored),
            "similar by path": ("analyze", "similar", "--query", str(one), *stored),
            "extract one, empty workspace": (),
            "extract one, backbone exported": (),
            "extract all, backbone exported": (*catalog, "--restart"),
            "serve at rest": (),
        }
        for name in only or commands:
            for _ in range(rounds):
                for version in versions:
                    found = _once(version, name, commands[name], Path(folder) / "one")
                    version.costs.setdefault(name, []).append(found)
            _print(name, versions)


def _once(version: Version, name: str, words: Sequence[str], one: Path) -> Cost:
    if name == "serve at rest":
        return _served(version)
    if not name.startswith("extract one"):
        return version.run(words)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Version(version.name, version.tree, Path(folder))
        if "exported" in name and (version.root / "cache/backbones").exists():
            shutil.copytree(version.root / "cache/backbones", fresh.root / "cache/backbones")
        return fresh.run(("extract", "--images", str(one), *LITE0, "--quiet"))


def _served(version: Version) -> Cost:
    """Start the service and wait for its backbone; ``peak`` is what all processes hold then."""
    words = ["analyze", "serve", "--port", "0", "--json", "--catalog", "shop"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=version.root,
        env=version.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = re.search(r":(\d+)", json.loads(process.stdout.readline())["url"])
        assert port is not None
        while True:
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/api/health") as answer:
                files = json.load(answer)["files"]
            if all(each["uploads"] == "ready" for each in files):
                break
            time.sleep(0.2)
        ready = time.perf_counter() - began
        time.sleep(1)
        return Cost(ready, 0.0, sum(map(_proportional_bytes, _family(process.pid))))
    finally:
        process.terminate()
        process.wait()


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def _proportional_bytes(pid: int) -> int:
    """Count what a process holds, memory that others share by its part (PSS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)
    return 1024 * int(found[1]) if found else 0


def _print(name: str, versions: Sequence[Version]) -> None:
    older, this = ([*version.costs[name]] for version in versions)
    parts = []
    for what, unit, scale in (("wall", "s", 1), ("cpu", "s CPU", 1), ("peak", "MB", 1e6)):
        one, other = (
            statistics.median(getattr(cost, what) for cost in costs) / scale
            for costs in (older, this)
        )
        if other:
            parts.append(f"{one:.2f} -> {other:.2f} {unit} ({one / other:.2f})")
    print(f"{name:32} {', '.join(parts)}", flush=True)
