"""A catalogue of drawings with planted vectors of three backbones, analyzed and reported."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import draw, run_in

from extract.catalog.demo import KINDS

Once = Callable[[str, Callable[[Path], None]], Path]

EACH = 6
DRAWN = tuple(KINDS)[:4]
HOSTILE = (
    '"><img src=x onerror="window.ran = 1">',
    "<svg onload=window.ran=2>{{ 7 * 7 }}",
    "'-window.ran=3-' & <b>",
    "=cmd|'x'",
)


def ran(root: Path, *words: str) -> str:
    """Type a command that must succeed; give what it printed."""
    done = run_in(root, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def plant(root: Path, name: str, ids: Sequence[str], vectors: np.ndarray, *words: str) -> None:
    """Import vectors as those of a backbone."""
    np.save(root / f"{name}.npy", vectors.astype(np.float32))
    (root / "ids.txt").write_text("\n".join(ids) + "\n")
    given = (f"{name}.npy", "--ids", "ids.txt", "--name", name, "--catalog", "shop", *words)
    ran(root, "extract", "import", *given)


def write_labels(root: Path, ids: Sequence[str], **columns: Sequence[str]) -> None:
    with (root / "labels.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["id", *columns])
        write.writerows(zip(ids, *columns.values(), strict=True))


def planted_vectors(codes: np.ndarray, spread: float, seed: int) -> np.ndarray:
    """Make 8 dimensions, one class a corner, with noise about it."""
    rng = np.random.default_rng(seed)
    return 4 * np.eye(8)[codes] + spread * rng.normal(size=(len(codes), 8))


def make_reported(root: Path) -> None:
    """Draw four kinds, plant three backbones (the last with no run), analyze, compare, report."""
    ids = [f"{kind}-{i}.jpg" for kind in DRAWN for i in range(EACH)]
    codes = np.repeat(np.arange(len(DRAWN)), EACH)
    for kind in DRAWN:
        for i in range(EACH):
            draw(root / "pictures" / f"{kind}-{i}.jpg", kind, i)
    parents = [("Table", "Wear")[c % 2] for c in codes]
    leaves = [f"{parent} >> {DRAWN[c]}" for parent, c in zip(parents, codes, strict=True)]
    write_labels(root, ids, family=parents, leaf=leaves)
    more = ("--labels", "labels.csv")
    for i, spread in enumerate((0.5, 1.6, 1.0)):
        vectors = planted_vectors(codes, spread, i)
        plant(root, f"backbone{i}", ids, vectors, *more, "--images-dir", "pictures")
    for i in range(2):
        words = ("--model", f"backbone{i}", "--level", "leaf", "--reduce", "tsne:5")
        ran(root, "analyze", *words)
    words = ("--level", "leaf", "--reduce", "tsne:5", "--seeds", "2", "--resamples", "200")
    ran(root, "analyze", "compare", *words)
    ran(root, "analyze", "report")


def make_hostile(root: Path) -> None:
    """Import vectors with file names and labels that want to run."""
    ids = [f"{i}{text}.jpg" for text in HOSTILE for i in range(3)]
    for i, name in enumerate(ids):
        draw(root / "pictures" / name, DRAWN[i % 4], i)
    codes = np.repeat(np.arange(len(HOSTILE)), 3)
    labels = [f"</script><script>window.ran = 4</script>{HOSTILE[c]}" for c in codes]
    write_labels(root, ids, **{HOSTILE[1]: labels})
    words = ("--labels", "labels.csv", "--images-dir", "pictures")
    plant(root, "<script>window.ran = 5<script>", ids, planted_vectors(codes, 2.0, 0), *words)
    ran(root, "analyze", "--reduce", "none")
    ran(root, "analyze", "report")


@pytest.fixture(scope="session")
def reported(once: Once) -> Path:
    """The workspace of ``make_reported``, to be read alone."""
    return once("reported-shop", make_reported)


@pytest.fixture(scope="session")
def hostile_report(once: Once) -> Path:
    """The workspace of ``make_hostile``, to be read alone."""
    return once("hostile-report", make_hostile)


@pytest.fixture(scope="session")
def page_of() -> Callable[[Path], Path]:
    """Find the newest report of a workspace."""

    def find(root: Path) -> Path:
        return max(root.glob("results/*-report*/report.html"))

    return find
