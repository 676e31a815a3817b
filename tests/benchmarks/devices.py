"""Whether a GPU gives the rows that the CPU gives, in fp32, and how many pictures a second."""

from __future__ import annotations

import random
import time
from itertools import product

import numpy as np
import torch

from extract.backbones.registry import Backbone, load_backbone
from extract.catalog.demo import KINDS, draw_picture
from extract.inference.execution_config import choose_execution_config
from extract.inference.runtimes import apply_execution_config

MODELS = ("convnext_base", "efficientnet_b3", "cvt_13", "cvt_21", "vgg16", "efficientnet_lite0")
BATCH = 32


def measure(
    device: str, models: list[str] | None, pictures: int, resizes: list[str] | None
) -> None:
    """Print the worst cosine and difference between devices, and rates of the forward pass."""
    kinds = list(KINDS)
    drawn = [draw_picture(kinds[i % len(kinds)], random.Random(i)) for i in range(pictures)]
    name = torch.cuda.get_device_name() if device.startswith("cuda") else device
    print(f"{pictures} pictures, batches of {BATCH}, fp32, random weights; {device}: {name}")
    for model, resize in product(models or MODELS, resizes or ["auto"]):
        there = load_backbone(model, weights="random", device=device, resize=resize)
        here = load_backbone(model, weights="random", resize=resize)
        assert here.provenance.identity_sha256 == there.provenance.identity_sha256
        apply_execution_config(choose_execution_config(there, None))  # fp32 is fp32: no TF32
        transform = here.preprocessing.transform()
        pixels = torch.stack([transform(picture) for picture in drawn])
        cpu, cpu_rate = _embed(here, pixels)
        gpu, gpu_rate = _embed(there, pixels)
        assert np.isfinite(cpu).all()
        assert np.isfinite(gpu).all()
        one, other = cpu.astype(np.float64), gpu.astype(np.float64)
        cosines = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        largest = np.abs(one - other).max() / np.abs(one).max()
        spread = one - one.mean(axis=0)  # random weights give rows that differ by little
        apart = other - one.mean(axis=0)
        centered = (spread * apart).sum(1) / np.linalg.norm(spread, axis=1)
        centered /= np.linalg.norm(apart, axis=1)
        print(
            f"{model:<20} {here.preprocessing.resize:<6} cosine >= {cosines.min():.9f}, "
            f"about the mean >= {centered.min():.7f}, "
            f"largest difference {largest:.1e} of the largest number; "
            f"{gpu_rate:,.0f} pictures/s against {cpu_rate:.1f} on the CPU",
            flush=True,
        )


def _embed(backbone: Backbone, pixels: torch.Tensor) -> tuple[np.ndarray, float]:
    """Embed in batches; rows, and pictures a second after a first pass."""
    repeats = 1 if backbone.device == "cpu" else 3
    batches = list(pixels.split(BATCH))
    rows = [backbone.embed(batch) for batch in batches]
    began = time.perf_counter()
    for _ in range(repeats):
        for batch in batches:
            backbone.embed(batch)
    seconds = time.perf_counter() - began
    return np.concatenate(rows), repeats * len(pixels) / seconds
