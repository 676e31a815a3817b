"""A small shop with broken pictures, what it looks like after it grew, and how to embed it."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from small_catalogs import draw_noise

from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.pipeline.extraction import Options, Report, extract_embeddings
from extract.pipeline.monitor import Monitor
from extract.transforms.preprocessing import Preprocessing

OPTIONS = Options(batch_size=4, threads=1, workers=2)
WIDE = 601
"""Numbers a vector: not a round count of bytes, so that rows begin anywhere in a page."""


def wide_backbone(n_dims: int = WIDE) -> Backbone:
    """Build a real, quick backbone with vectors that cross pages."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, n_dims, 8, stride=8),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )
    model.eval().requires_grad_(False)
    preprocessing = Preprocessing(32, "crop", 0.875, "bicubic", (0.5,) * 3, (0.5,) * 3)
    weights = {"source": "random", "tag": "wide.random", "seed": 0, "sha256": "0"}
    return Backbone("wide", model, preprocessing, n_dims, weights, "mean", "cpu")


def draw_shop(folder: Path, n_pictures: int) -> Path:
    """Draw pictures of three kinds; one in nine is broken, in three ways."""
    for i in range(n_pictures):
        path = folder / ("cups", "hats", "rugs")[i % 3] / f"{i:03}.png"
        draw_noise(path, i)
        if i % 9 == 5:
            content = path.read_bytes()
            broken = (b"", b"no picture", content[: len(content) // 2])
            path.write_bytes(broken[i // 9 % 3])
    return folder


def grow(shop: Path, grown: Path) -> Path:
    """Copy a shop; add pictures, change one, mend one and take one away."""
    shutil.copytree(shop, grown)
    pictures = sorted(grown.rglob("*.png"))
    for i in (1, 4):
        draw_noise(grown / "cups" / f"new{i}.png", 1_000 + i)
        draw_noise(grown / "toys" / f"new{i}.png", 2_000 + i)
    draw_noise(pictures[1], 3_000, (50, 50))
    draw_noise(grown / "rugs" / "005.png", 3_001)
    pictures[-1].unlink()
    return grown


def embed(shop: Path, file: Path, n_dims: int = WIDE, monitor: Monitor | None = None) -> Report:
    """Embed a shop in this process, without any fault."""
    backbone = wide_backbone(n_dims)
    return extract_embeddings(list_folder(shop), backbone, file, options=OPTIONS, monitor=monitor)
