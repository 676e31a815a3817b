"""ConvNeXt by torch's compiler and by the fused kernels: rates and cosines, in turn, as JSON."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from extract.backbones.registry import Backbone, load_backbone
from extract.inference.execution_config import ExecutionOptions, choose_execution_config
from extract.inference.fidelity import cosines
from extract.inference.fused_check import why_not_fused
from extract.inference.runtimes import RUNTIMES, Forward, prepared

MODELS = ("convnext_base", *(f"timm:convnext_{size}" for size in ("tiny", "small", "large")))
SHAPES = [(56, 56, 96), (64, 64, 128), (28, 28, 256), (14, 14, 512), (7, 7, 1024), (9, 5, 40)]
"""Height, width, channels of maps."""

AT_ONCE, ROUNDS, CALLS = 32, 5, 12


def plant_outliers(model: torch.nn.Module, seed: int = 0) -> None:
    """Give a ConvNeXt's blocks weight, and some of its channels twenty times as much."""
    draw = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        drawn, last = torch.rand(weight.shape, generator=draw), name.rpartition(".")[2]
        if last == "gamma":
            planted = 0.05 + 0.3 * drawn
        elif weight.ndim == 1 and "norm" in name and last == "weight":
            planted = 0.5 + drawn
        elif weight.ndim == 1 and last == "bias":
            planted = 0.6 * (drawn - 0.5)
        else:
            continue
        if last != "gamma":
            planted[torch.randperm(len(planted), generator=draw)[:2]] *= 20
        weight.copy_(planted)


def measure(
    models: list[str] | None,
    batch_size: int,
    dtype: str,
    resize: str,
    only: list[str] | None,
    out: Path | None,
) -> None:
    """Print, and keep as JSON: the kernel on shapes, whole models, and batches of one."""
    import triton

    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "batch_size": batch_size,
        "dtype": dtype,
    }
    print(found)
    if not only or "kernel" in only:
        found["kernel"] = [_kernel(n, *shape) for n, shape in product((1, 3, 257), SHAPES)]
        print(f"kernel: worst {max(each['error'] for each in found['kernel']):.5f} off in all")
    for model in models or MODELS:
        backbone = load_backbone(model, weights="random", device="cuda", resize=resize)
        if not only or "batches" in only:
            for planted in (False, True):
                if planted:
                    plant_outliers(backbone.model)
                found[f"{model}{', planted' * planted}"] = _batches(backbone, batch_size, dtype)
        if not only or "one" in only:
            found[f"{model}, one"] = _one(backbone, dtype)
        if not only or "guards" in only:
            found[f"{model}, guards"] = _guards(backbone, batch_size, dtype)
        torch.cuda.empty_cache()
    if out:
        out.write_text(json.dumps(found, indent=1))


def _kernel(n: int, height: int, width: int, channels: int) -> dict[str, Any]:
    """Hold convolution and norm against torch's in float32: ||found - expected|| / ||expected||."""
    from extract.inference.depthwise_norm import convolve_and_norm

    draw = torch.Generator("cuda").manual_seed(n)
    maps, weight, bias, scale, shift = (
        torch.randn(*shape, device="cuda", generator=draw)
        for shape in (
            (n, height, width, channels),
            (49, channels),
            (height, width, channels),
            (channels,),
            (channels,),
        )
    )
    maps = maps.bfloat16()
    found = convolve_and_norm(maps, weight, bias, scale, shift, 1e-6).float()
    taps = weight.t().reshape(channels, 1, 7, 7)
    seen = maps.float().permute(0, 3, 1, 2)
    summed = torch.nn.functional.conv2d(seen, taps, padding=3, groups=channels)
    expected = torch.nn.functional.layer_norm(
        summed.permute(0, 2, 3, 1) + bias, (channels,), scale, shift, 1e-6
    )
    error = ((found - expected).norm() / expected.norm()).item()
    assert error < 0.004, (n, height, width, channels, error)
    return {"shape": [n, height, width, channels], "error": error}


def _batches(backbone: Backbone, batch_size: int, dtype: str) -> dict[str, Any]:
    """Rates of both runtimes in turn; the worst cosines of rows, of smooth pictures and noise."""
    made = {name: _made(backbone, name, batch_size, dtype) for name in ("compiled", "fused")}
    size = backbone.preprocessing.size
    noise = torch.randint(0, 256, (batch_size, size, size, 3), dtype=torch.uint8, device="cuda")
    coarse = torch.rand(batch_size, 3, 9, 9, device="cuda") * 255
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")
    pictures = smooth.clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8).contiguous()
    eager, _ = _made(backbone, "eager", AT_ONCE, "fp32")
    rates: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, (forward, _) in made.items():
            rates[name].append(batch_size / _seconds(forward, [noise, pictures]))
    found: dict[str, Any] = {"ready": {name: seconds for name, (_, seconds) in made.items()}}
    for kind, seen in (("noise", noise), ("smooth", pictures)):
        expected = np.concatenate([eager(part).cpu().numpy() for part in seen.split(AT_ONCE)])
        for name, (forward, _) in made.items():
            rows = forward(seen).cpu().numpy()
            mean = expected.mean(axis=0)
            found[f"{kind} {name}"] = {
                "cosine": float(cosines(rows, expected).min()),
                "about the mean": float(cosines(rows - mean, expected - mean).min()),
            }
    found["rates"] = rates
    found["ratio"] = statistics.median(rates["fused"]) / statistics.median(rates["compiled"])
    print(f"{backbone.name}: {json.dumps(found)}", flush=True)
    return found


def _one(backbone: Backbone, dtype: str) -> dict[str, float]:
    """Milliseconds of one picture: launched kernel by kernel, as one graph, and fused."""
    size = backbone.preprocessing.size
    pixels = torch.randint(0, 256, (1, size, size, 3), dtype=torch.uint8, device="cuda")
    # a folded model is recorded for batches of one alone
    ways = {"by kernel": ("folded", 2), "folded": ("folded", 1), "fused": ("fused", 1)}
    made = {
        said: _made(backbone, name, n, dtype)[0]
        for said, (name, n) in ways.items()
        if name != "fused" or "convnext" in backbone.name
    }
    seconds: dict[str, list[float]] = {said: [] for said in made}
    for _ in range(ROUNDS):
        for said, forward in made.items():
            seconds[said].append(_seconds(forward, [pixels], wait=True))
    rows = {said: forward(pixels).cpu().numpy() for said, forward in made.items()}
    found = {said: 1000 * statistics.median(each) for said, each in seconds.items()}
    found["cosine"] = float(cosines(rows["folded"], rows["by kernel"]).min())
    print(f"{backbone.name}, one picture, ms: {json.dumps(found)}", flush=True)
    return found


def _guards(backbone: Backbone, batch_size: int, dtype: str) -> dict[str, Any]:
    """What the self-check says of right, wrong and failing kernels; what guards the graph."""
    from extract.inference import fused_convnext
    from extract.inference.depthwise_norm import convolve_and_norm as kernel

    def fail(*_: Any) -> Any:
        raise RuntimeError("no such instruction")

    found: dict[str, Any] = {}
    plant_outliers(backbone.model)  # fresh blocks are all but switched off
    began = time.monotonic()
    found["right"] = why_not_fused(backbone, dtype)
    found["seconds of the check"] = round(time.monotonic() - began, 2)
    assert found["right"] is None, found["right"]
    asked, many = ExecutionOptions(batch_size, runtime="fused", decoder="fast"), np.full(100_000, 9)
    wrong = {
        "taps turned": lambda maps, taps, *more: kernel(maps, taps.flip(0), *more),
        "no scale": lambda maps, taps, bias, scale, *more: kernel(
            maps, taps, bias, torch.ones_like(scale), *more
        ),
        "fails": fail,
        "waits": lambda maps, *more: kernel(maps * (maps.sum().item() != 0), *more),
    }
    for name, other in wrong.items():
        notes: list[str] = []
        with mock.patch.object(fused_convnext, "convolve_and_norm", other):
            chosen = choose_execution_config(backbone, None, asked, many, notes.append)
        found[name] = [chosen["runtime"], *notes]
    found["right after"] = why_not_fused(backbone, dtype)
    assert found["right after"] is None, found["right after"]
    found.update(_graph(backbone, batch_size, dtype))
    print(f"{backbone.name}, guards: {json.dumps(found)}", flush=True)
    return found


def _graph(backbone: Backbone, batch_size: int, dtype: str) -> dict[str, Any]:
    """Hold calls of one graph from several threads, and odd batches, against one."""
    forward, _ = _made(backbone, "fused", batch_size, dtype)
    odd, _ = _made(backbone, "fused", 37, dtype)
    size = backbone.preprocessing.size
    shape = 6, batch_size, size, size, 3
    batches = torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda")
    alone = [forward(each).clone() for each in batches]
    kept = [forward(each) for each in batches]
    torch.cuda.synchronize()

    def beside(number: int) -> torch.Tensor:
        return [forward(each) for each in batches][number]

    with ThreadPoolExecutor(len(batches)) as pool:
        threads = list(pool.map(beside, range(len(batches))))
    refused = ""
    try:
        forward(batches[0][:-1])
    except ValueError as error:
        refused = str(error)
    assert refused
    return {
        "each call's own": all(map(torch.equal, kept, alone)),
        "threads": all(map(torch.equal, threads, alone)),
        "another shape": refused,
        "odd batch, cosine": float(
            cosines(odd(batches[0][:37]).cpu().numpy(), alone[0][:37].cpu().numpy()).min()
        ),
    }


def _made(backbone: Backbone, name: str, batch_size: int, dtype: str) -> tuple[Forward, float]:
    """Prepare a runtime, and run it once; seconds that both took."""
    assert name in RUNTIMES
    way = {"runtime": name, "dtype": dtype, "batch_size": batch_size, "threads": 8}
    size = backbone.preprocessing.size
    began = time.monotonic()
    forward = prepared(backbone, way)
    forward(torch.zeros(batch_size, size, size, 3, dtype=torch.uint8, device="cuda"))
    torch.cuda.synchronize()
    return forward, time.monotonic() - began


def _seconds(forward: Callable[[Any], Any], batches: list[Any], *, wait: bool = False) -> float:
    """Seconds of a call; waited for each, or for the last."""
    torch.cuda.synchronize()
    began = time.monotonic()
    for i in range(CALLS):
        forward(batches[i % len(batches)])
        if wait:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    return (time.monotonic() - began) / CALLS
