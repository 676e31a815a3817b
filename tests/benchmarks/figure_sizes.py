"""Every figure at 3, 7, 20, 62 and 243 classes, to be looked at."""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from analyze.explanation.evaluation.figure import draw_features, draw_places
from analyze.presentation.figure_style import save
from extract.catalog.demo import KINDS, draw_picture

SIZES = (3, 7, 20, 62, 243)
DIMENSIONS, DRAWN = 24, 40
DEPARTMENTS = (
    "Home Furnishing", "Kitchen & Dining", "Baby Care", "Watches", "Beauty and Personal Care",
    "Computers", "Home Decor & Festive Needs", "Pens & Stationery", "Footwear",
)  # fmt: skip
GROUPS = (
    "Blankets, Quilts & Dohars", "Bath Towels", "Mugs", "Curtains & Accessories", "Wrist Watches",
    "Network Components", "Makeup", "Étagères murales", "Infant Wear", "Showpieces", "Cookware",
)  # fmt: skip
COMMANDS = (
    "analyze --model first --level leaf --reduce tsne",
    "analyze --model second --level leaf --reduce tsne",
    "analyze --model first --level leaf --clusters auto",
    "analyze compare --level leaf --seeds 3 --resamples 200 --reduce none --reduce pca:8",
    "analyze rank --level leaf",
    "analyze retrieval --level leaf",
    "analyze catalog --model first --level leaf",
    "analyze similar --model first --level leaf --query 0.jpg --query 7.jpg",
    "analyze audit --model first --level leaf --no-pictures",
    "analyze head --model first --level leaf --folds 3 --against second --epochs 20",
    "analyze predict --head results/latest/head.json --model first",
    "analyze head --model first --level family --levels 2 --folds 3 --epochs 20",
    "analyze report",
)


def measure(folder: Path, sizes: Sequence[int]) -> None:
    """Plant catalogues of these numbers of classes, type the commands, and keep all figures."""
    for n_classes in sizes:
        kept = folder / f"{n_classes:03}"
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            _plant(root, n_classes)
            tree = n_classes > len(KINDS)  # names of few are no paths
            for line in (each for each in COMMANDS if tree or "--levels" not in each):
                _type(root, *line.split())
                _keep(root, kept)
        _draw_explanations(kept, n_classes)
        print(f"{n_classes} classes: {len([*kept.glob('*.png')])} figures in {kept}")


def _names(n_classes: int) -> list[tuple[str, str]]:
    """Make classes below departments: short names of few, long paths of many."""
    if n_classes <= len(KINDS):
        return [(("Table", "Wear")[i % 2], kind) for i, kind in enumerate(KINDS)][:n_classes]
    found = []
    for i in range(n_classes):
        parent, group = DEPARTMENTS[i % len(DEPARTMENTS)], GROUPS[i % len(GROUPS)]
        found.append((parent, f"{parent} >> {group} {i // len(GROUPS) + 1}"))
    return found


def _plant(root: Path, n_classes: int) -> None:
    """Lay classes about their parents, of very different sizes, with vectors of two backbones."""
    rng, names = np.random.default_rng(n_classes), _names(n_classes)
    sizes = np.maximum(6, 60 / np.arange(1, n_classes + 1) ** 0.6).astype(int)
    codes = np.repeat(np.arange(n_classes), sizes)
    ids = [f"{i}.jpg" for i in range(len(codes))]
    (root / "pictures").mkdir()
    for i, row_id in enumerate(ids):
        place = root / "pictures" / row_id
        if i < DRAWN:
            draw_picture(list(KINDS)[i % len(KINDS)], random.Random(i)).save(place)
        else:
            blocks = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize((60, 75), Image.Resampling.BICUBIC).save(place)
    (root / "ids.txt").write_text("\n".join(ids) + "\n")
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(["id", "family", "leaf"])
        write.writerows([row_id, *names[code]] for row_id, code in zip(ids, codes, strict=True))
    parents = sorted({parent for parent, _ in names})
    above = np.array([parents.index(parent) for parent, _ in names])
    middles = rng.normal(size=(len(parents), DIMENSIONS))[above]
    middles += 0.7 * rng.normal(size=(n_classes, DIMENSIONS))
    for backbone, spread in (("first", 0.7), ("second", 0.9)):
        vectors = middles[codes] + spread * rng.normal(size=(len(codes), DIMENSIONS))
        np.save(root / f"{backbone}.npy", vectors.astype(np.float32))
        words = ["--ids", "ids.txt", "--labels", "labels.csv", "--images-dir", "pictures"]
        words += ["--name", backbone, "--catalog", "shop"]
        _type(root, "extract", "import", f"{backbone}.npy", *words)


def _type(root: Path, *words: str) -> None:
    command = [sys.executable, "-m", *words, "--root", str(root), "--quiet"]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)


def _keep(root: Path, folder: Path) -> None:
    for number, run in enumerate(sorted((root / "results").glob("[0-9]*"))):
        for path in (*run.glob("*.png"), *run.glob("report.html")):
            shutil.copy(path, folder / f"{number:02}-{run.name.split('-')[1]}-{path.name}")


def _draw_explanations(folder: Path, n_classes: int) -> None:
    """Draw shares of classes, planted, as no command does without a backbone."""
    rng, names = np.random.default_rng(0), [name for _, name in _names(n_classes)]
    about = {"title": "Where the head looks", "subtitle": "planted shares"}
    places = {name: rng.random((7, 7)) for name in names}
    counts = {name: int(n) for name, n in zip(names, rng.integers(1, 60, n_classes), strict=True)}
    save(draw_places(places, counts, **about), folder, "explain-places")
    shares = {name: rng.random(DIMENSIONS) for name in names}
    save(draw_features(shares, **about), folder, "explain-features")
