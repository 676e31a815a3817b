"""Extraction on a GPU: forward alone, decoding alone, both together, and what most people run.

``python -m tests.benchmarks gpu --folder DIR``; rounds alternate, and what is printed of them is
the median. Pictures are made first, each with a comment of its own, so that none equals another.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np

from extract.backbones.registry import Backbone, load_backbone
from extract.catalog.catalog import Catalog, list_folder
from extract.inference.execution_config import choose_execution_config
from extract.inference.fidelity import cosines
from extract.inference.forward_pass import ForwardPass, Launched
from extract.inference.runtimes import prepared
from extract.pipeline import batching as forwarding
from extract.pipeline import loop as one_pass
from extract.pipeline.extraction import Options, Report, extract_embeddings
from extract.pipeline.monitor import Monitor
from extract.storage.embeddings_file import read_table
from tests.benchmarks.extraction_speed import overlap_of_neighbors
from tests.benchmarks.photo_files import make_photo_files

STEADY_FROM = 40
"""Batches: with many workers the first arrive together and flatter everything."""


@dataclass
class Spec:
    """What is measured: a model on pictures of a kind, with some decoders, on some cores.

    Several geometries are a specification each, and take turns in every round.
    """

    model: str
    kind: str
    count: int
    decoders: list[str]
    cores: int
    rounds: int
    loader: int = 0
    fidelity: int = 0
    resize: str = "auto"
    found: dict[str, Any] = field(default_factory=dict)


class NoForward(ForwardPass):
    """Answers at once with numbers, so that only loading takes time."""

    def __init__(self, backbone: Backbone, execution_config: Any) -> None:
        batch_size = execution_config["batch_size"]
        self._vectors = np.ones((batch_size, backbone.n_dims), np.float32)
        self.in_flight = 0

    def launch(self, pixels: Any, _batch: int = 0) -> Launched:
        return Launched(lambda: (self._vectors, 0.0))


class Waits(Monitor):
    """Keeps what stages waited."""

    said: ClassVar[dict[str, float]] = {}

    def waited(self, seconds: float, stages: Any) -> None:
        Waits.said = {stage: round(idle / seconds, 3) for stage, idle in stages.items()}


@contextmanager
def landings() -> Iterator[list[float]]:
    """List when each batch came back."""
    times: list[float] = []
    land = forwarding.Forwarding._land

    def timed(self: forwarding.Forwarding) -> Any:
        computed = land(self)
        times.append(time.monotonic())
        return computed

    with mock.patch.object(forwarding.Forwarding, "_land", timed):
        yield times


def measure(
    folder: Path,
    specs: list[str],
    device: str,
    out: Path | None,
    weights: str = "random",
    resizes: list[str] | None = None,
    **how: Any,
) -> None:
    """Run specs of MODEL/KIND/COUNT/DECODERS/CORES/ROUNDS[/LOADER[/FIDELITY]], and print.

    ``how`` is dtype, runtime and compiled.
    """
    import torch

    on_gpu = device.startswith("cuda")
    print(f"{torch.cuda.get_device_name() if on_gpu else device}, torch {torch.__version__}")
    everything = os.sched_getaffinity(0)
    asked = None if how["runtime"] == "fused" else how["compiled"] and on_gpu
    options = {**how, "compiled": asked}
    measured: list[Spec] = []
    of_model, loaded = "", []
    for spec in map(_spec, specs):
        catalog = list_folder(_pictures(folder, spec))
        if spec.model != of_model:
            of_model, loaded = spec.model, []  # the models before give their memory back
            loaded = _load(spec.model, weights, device, resizes or ["auto"])
            forward = _forward_alone(loaded[0], options, spec)
        wanted = [
            (replace(spec, resize=b.preprocessing.resize, found={"forward": forward}), b)
            for b in loaded
        ]
        os.sched_setaffinity(0, sorted(everything)[: spec.cores])
        for _ in range(spec.rounds):
            for each, backbone in wanted:
                _round(each, catalog, backbone, options, folder)
        for each, backbone in wanted:
            if spec.fidelity:
                each.found["fidelity"] = _fidelity(catalog, backbone, options, each, folder)
            _print(each)
            measured.append(each)
        os.sched_setaffinity(0, everything)
    if out:
        out.write_text(json.dumps([spec.__dict__ for spec in measured], indent=1))


def _pictures(folder: Path, spec: Spec) -> Path:
    pictures = folder / f"{spec.kind}-{spec.count}"
    if not pictures.exists():
        began = time.monotonic()
        size = make_photo_files(pictures, spec.count, spec.kind) / spec.count
        print(f"{spec.count:,} {spec.kind} of {size:,.0f} B in {time.monotonic() - began:.0f} s")
    return pictures


def _load(model: str, weights: str, device: str, resizes: list[str]) -> list[Backbone]:
    return [load_backbone(model, weights=weights, device=device, resize=r) for r in resizes]


def _spec(text: str) -> Spec:
    model, kind, count, decoders, cores, rounds, *rest = text.split("/")
    more = [int(word) for word in rest]
    return Spec(model, kind, int(count), decoders.split(","), int(cores), int(rounds), *more)


def _forward_alone(backbone: Backbone, options: dict[str, Any], spec: Spec) -> float:
    """Pictures a second of the forward pass, from pixels on the device."""
    import torch

    execution_config = choose_execution_config(backbone, None, Options(**options))
    began = time.monotonic()
    forward = prepared(backbone, execution_config)
    size, batch_size = backbone.preprocessing.size, execution_config["batch_size"]
    shape = batch_size, size, size, 3
    batches = [torch.randint(0, 256, shape, dtype=torch.uint8) for _ in range(2)]
    batches = [batch.to(backbone.device) for batch in batches]
    forward(batches[0])
    wait = torch.cuda.synchronize if backbone.device.startswith("cuda") else (lambda: None)
    wait()
    seconds = time.monotonic() - began
    print(f"{spec.model}: {execution_config}, ready in {seconds:.1f} s", flush=True)
    rates = []
    for _ in range(5):
        began = time.monotonic()
        for i in range(20 if backbone.device.startswith("cuda") else 1):
            forward(batches[i % 2])
        wait()
        rates.append((i + 1) * batch_size / (time.monotonic() - began))
    return statistics.median(rates)


def _round(
    spec: Spec, catalog: Catalog, backbone: Backbone, options: dict[str, Any], folder: Path
) -> None:
    for decoder in spec.decoders:
        with mock.patch.object(one_pass, "ForwardPass", NoForward):
            rate, _ = _run(catalog, backbone, {**options, "decoder": decoder}, folder)
        spec.found.setdefault(f"decoding {decoder}", []).append(rate)
        rate, report = _run(catalog, backbone, {**options, "decoder": decoder}, folder)
        assert report.embedded == len(catalog)
        assert report.copied == 0  # every picture was forwarded
        spec.found.setdefault(f"end to end {decoder}", []).append(rate)
        spec.found[f"waited {decoder}"] = Waits.said
        table = read_table(report.file)
        ways = table.provenance.execution_configs
        spec.found[f"rows {decoder}"] = {
            f"{ways[i]['decoder']}": len(rows)
            for i, rows in table.rows_by_execution_config().items()
        }
    if spec.loader:
        rate = _loader(catalog, backbone, spec.loader)
        spec.found.setdefault("loader", []).append(rate)


def _run(
    catalog: Catalog, backbone: Backbone, options: dict[str, Any], folder: Path
) -> tuple[float, Report]:
    """Embed everything; pictures a second in steady state."""
    path = folder / "speed.h5"
    for old in folder.glob("speed.*"):
        old.unlink()
    with landings() as times:
        report = extract_embeddings(
            catalog, backbone, path, options=Options(**options), monitor=Waits()
        )
    batch_size = report.execution_config["batch_size"]
    first = min(STEADY_FROM, len(times) // 3)
    return (len(times) - 2 - first) * batch_size / (times[-2] - times[first]), report


def _loader(catalog: Catalog, backbone: Backbone, count: int) -> float:
    """Pictures a second of timm's transform in a DataLoader and the eager model in fp32."""
    import torch
    from PIL import Image

    transform = backbone.preprocessing.transform()

    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return count

        def __getitem__(self, i: int) -> Any:
            with Image.open(catalog.images_root / catalog.paths[i]) as picture:
                return transform(picture.convert("RGB"))

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    workers = len(os.sched_getaffinity(0))
    loader = torch.utils.data.DataLoader(
        Pictures(), batch_size=256, num_workers=workers, pin_memory=True
    )
    times = []
    with torch.inference_mode():
        for batch in loader:
            backbone.model(batch.to(backbone.device, non_blocking=True)).cpu().numpy()
            times.append(time.monotonic())
    first = min(STEADY_FROM, len(times) // 3)
    return (len(times) - 2 - first) * 256 / (times[-2] - times[first])


def _fidelity(
    catalog: Catalog, backbone: Backbone, options: dict[str, Any], spec: Spec, folder: Path
) -> dict[str, Any]:
    """Worst cosine and overlap of ten neighbors, of some rows with those of the reference path."""
    limit = {"limit": spec.fidelity}
    reference = {"decoder": "reference", "runtime": "eager", "dtype": "fp32"}
    found = {}
    rows = {}
    for name in ("reference", *spec.decoders):
        chosen = reference if name == "reference" else {**options, "decoder": name}
        path = folder / f"fidelity-{name}.h5"
        extract_embeddings(catalog, backbone, path, options=Options(**chosen, **limit))
        rows[name] = np.array(read_table(path).rows.vectors[: spec.fidelity])
        path.unlink()
    for name in spec.decoders:
        worst = float(cosines(rows[name], rows["reference"]).min())
        alike = overlap_of_neighbors(rows[name], rows["reference"])
        found[name] = {"cosine": worst, "neighbors": alike}
    return found


def _print(spec: Spec) -> None:
    found = spec.found
    print(
        f"\n{spec.model}, {spec.resize}, {spec.count:,} {spec.kind}, {spec.cores} cores, "
        f"{spec.rounds} rounds"
    )
    print(f"  forward alone {found['forward']:,.0f}")
    for decoder in spec.decoders:
        alone, both = (
            statistics.median(found[f"{what} {decoder}"]) for what in ("decoding", "end to end")
        )
        least = min(alone, found["forward"])
        rounds = ", ".join(f"{rate:,.0f}" for rate in found[f"end to end {decoder}"])
        print(
            f"  {decoder}: decoding alone {alone:,.0f}, end to end {both:,.0f} ({rounds}): "
            f"{both / least:.1%} of the lesser; waited {found[f'waited {decoder}']}; "
            f"rows {found[f'rows {decoder}']}"
        )
        if "loader" in found:
            plain = statistics.median(found["loader"])
            print(f"    {both / plain:.2f} x a DataLoader's {plain:,.0f}")
    if "fidelity" in found:
        print(f"  with the reference path: {found['fidelity']}")
    print(end="", flush=True)
