"""What the kernels of another processor change in the scores of stored vectors, and in vectors.

Kernels are chosen by variables that libraries read when they are loaded, so every command is a
process of its own, in a workspace of its own: nothing is read from a cache that another one filled.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from analyze.unit_vectors import unit_rows
from extract import read_embeddings

PROJECT = Path(__file__).parents[2]
VARIABLES = ("OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")
SETTINGS: dict[str, dict[str, str]] = {
    "as it is": {},
    "AVX2": dict(zip(VARIABLES, ("Haswell", "avx2", "AVX2"), strict=True)),
    "AVX": dict(zip(VARIABLES, ("Sandybridge", "default", "AVX"), strict=True)),
    "SSE4": dict(zip(VARIABLES, ("Nehalem", "default", "SSE41"), strict=True)),
    "SSE3": dict(zip(VARIABLES, ("Prescott", "default", "SSE41"), strict=True)),
}
COMMANDS: dict[str, list[str]] = {
    "analyze none": ["--reduce", "none"],
    "analyze l2,pca:50": ["--reduce", "l2,pca:50"],
    "analyze l2,pca:50 spherical": ["--reduce", "l2,pca:50", "--cluster", "spherical"],
    "analyze pca:0.99,tsne": ["--reduce", "pca:0.99,tsne"],
    "compare --seeds 5": ["compare", "--seeds", "5"],
    "retrieval": ["retrieval"],
    "rank": ["rank"],
    "rank --metric linear_probe": ["rank", "--metric", "linear_probe"],
}
NO_SCORES = {"command", "results", "embeddings", "root", "seconds", "started", "versions", "folder"}
"""Keys under which runs differ whatever the kernels."""


def measure(
    embeddings: Path, others: list[Path], settings: list[str] | None, only: list[str] | None
) -> None:
    """Print what differs under each setting from the first; then what other files give.

    Parameters
    ----------
    embeddings : Path
        What is scored under all settings.
    others : list of Path
        The same pictures embedded elsewhere, scored as it is: held against the first.
    settings, only : list of str, optional
        Names of ``SETTINGS``, held against the first, and of ``COMMANDS``; all without.
    """
    first, *names = SETTINGS
    for command in only or COMMANDS:
        base = _numbers(embeddings, command, SETTINGS[first])
        print(f"{command}: {len(base)} numbers", flush=True)
        for name in names if settings is None else settings:
            _print_apart(name, base, _numbers(embeddings, command, SETTINGS[name]))
        for other in others:
            _print_apart(str(other), base, _numbers(other, command, {}))
    for other in others:
        print(f"{other}: worst cosine {_worst_cosine(embeddings, other):.9f}")


def _numbers(embeddings: Path, command: str, setting: dict[str, str]) -> dict[str, float | str]:
    """Run a command on a file as another processor would; its numbers and words by place."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    path = os.pathsep.join([str(PROJECT), kept.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as root:
        words = ["--embeddings", str(embeddings.resolve()), "--root", root, "--json", "-q"]
        done = subprocess.run(
            [sys.executable, "-m", "analyze", *COMMANDS[command], *words],
            env={**kept, **setting, "PYTHONPATH": path},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    return dict(_leaves(json.loads(done.stdout), ""))


def _leaves(found: Any, place: str) -> Iterator[tuple[str, float | str]]:
    if isinstance(found, dict):
        for key, value in found.items():
            if key not in NO_SCORES:
                yield from _leaves(value, f"{place}.{key}" if place else key)
    elif isinstance(found, list):
        for i, value in enumerate(found):
            yield from _leaves(value, f"{place}[{i}]")
    elif isinstance(found, int | float | str):
        yield place, found


def _print_apart(name: str, base: dict[str, float | str], found: dict[str, float | str]) -> None:
    """Say how many numbers are not equal to the last digit, and by how much at most, by key."""
    apart: dict[str, list[float]] = {}
    for place in sorted(base.keys() | found.keys()):
        one, other = base.get(place), found.get(place)
        if one != other:
            both = isinstance(one, int | float) and isinstance(other, int | float)
            key = ".".join(part.partition("[")[0] for part in place.split("."))
            apart.setdefault(key, []).append(abs(one - other) if both else math.nan)
    print(f"  {name}: {sum(map(len, apart.values()))} differ")
    for key, by in apart.items():
        most = "not a number" if np.isnan(by).any() else f"at most {max(by):.1e}"
        print(f"    {key}: {len(by)}, {most}", flush=True)


def _worst_cosine(one: Path, other: Path) -> float:
    first, second = read_embeddings(one), read_embeddings(other)
    assert first.ids == second.ids
    both = (unit_rows(each.vectors).astype(np.float64) for each in (first, second))
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in both)
    return float((a * b).sum(axis=1).min())
