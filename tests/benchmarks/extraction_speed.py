"""What a picture costs on a CPU: a plain loop, the reference path, the fast one, and its limit.

Everything runs in turn, round after round, in one process, on the same pictures and weights. The
limit of a fast path is what decoding alone and the forward pass alone cost, added up.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from extract.backbones.registry import Backbone, load_backbone
from extract.catalog.catalog import Catalog, list_folder
from extract.inference.execution_config import usable_cores
from extract.inference.fidelity import cosines
from extract.inference.runtimes import prepared_on_host
from extract.loading.batch_ring import BatchRing
from extract.loading.picture import Destination, PictureLoader, Place, Task
from extract.loading.processes import LoadingProcesses
from extract.loading.threads import LoadingThreads
from extract.machine.packages import versions_of
from extract.pipeline.extraction import Options, extract_embeddings
from extract.pipeline.loop import FEW_WORKERS, LEAST_BATCHES
from extract.pipeline.monitor import Monitor
from extract.pipeline.prefetch import LoadingWorkers
from extract.storage.embeddings_file import read_embeddings
from tests.benchmarks.process_costs import (
    Clock,
    Cost,
    begin_again_on_one_thread,
    costing,
    forget_peak,
    peak_bytes,
    processor_in_words,
)

NAIVE, REFERENCE = "naive loop", "reference path"
SHARE_ASKED = 0.9
NEIGHBORS = 10
MOST_READY_BATCHES = 64
"""Kept for the forward pass alone."""

PACKAGES = ("torch", "torchvision", "timm", "pillow", "simplejpeg", "openvino", "numpy")


@dataclass
class Measured:
    """One path: what each round took, and what it gave.

    Parameters
    ----------
    loops : list of Cost
        From the first picture to the last durable row.
    beside : list of Cost
        All else: listing, laying out, preparing the runtime, the rows computed again.
    peaks : list of int
        Bytes; of the first round alone, as memory that was given back before it costs time again.
    vectors : ndarray of shape (n_images, n_dims)
        Of the last round.
    execution_config : mapping
    """

    loops: list[Cost] = field(default_factory=list)
    beside: list[Cost] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    execution_config: dict[str, Any] = field(default_factory=dict)


@dataclass
class Compared:
    """All that was measured on some pictures; costs of the parts alone are a round each.

    Parameters
    ----------
    n_images : int
    paths : dict of str to Measured
    decoding : list of Cost
    forward : dict of str to list of Cost
        By the name of the fast path.
    """

    n_images: int
    paths: dict[str, Measured]
    decoding: list[Cost]
    forward: dict[str, list[Cost]]

    def cpu_ms(self, costs: Sequence[Cost]) -> list[float]:
        """Give milliseconds of CPU a picture, a number a round."""
        return [1000 * cost.cpu / self.n_images for cost in costs]

    def limit_ms(self, name: str) -> float:
        """Give what a fast path could not be under: its parts alone, medians of the rounds."""
        parts = self.decoding, self.forward[name]
        return sum(statistics.median(self.cpu_ms(costs)) for costs in parts)


def measure(
    images: Path,
    pictures: int | None,
    resizes: list[str] | None,
    to_json: Path | None,
    *,
    peers: bool,
    **how: Any,
) -> None:
    """Print a table of all paths a geometry, with ratios, fidelity and shares of the limit.

    ``how`` is model, weights, runtimes, dtype and rounds.
    """
    model, weights, dtype, rounds = (how[k] for k in ("model", "weights", "dtype", "rounds"))
    begin_again_on_one_thread()
    listed = list_folder(images)
    catalog = distinct_pictures(listed, pictures)
    resizes = resizes or ["auto"]
    backbones = [load_backbone(model, weights=weights, resize=resize) for resize in resizes]
    print(f"{processor_in_words()}; {', '.join(f'{k} {v}' for k, v in versions().items())}")
    print(
        f"{model}, {weights} weights, {dtype}, {len(catalog)} pictures of distinct contents, "
        f"{rounds} rounds in turn, {torch.get_num_threads()} thread, {usable_cores()} that decode"
    )
    all_compared = compare(
        catalog, backbones, how["runtimes"] or ["torch", "openvino"], dtype, rounds
    )
    geometries = {}
    for resize, backbone, compared in zip(resizes, backbones, all_compared, strict=True):
        print(f"\n--resize {resize}: {backbone.preprocessing.geometry}")
        for line in lines_of(compared):
            print(line, flush=True)
        geometries[resize] = described(compared)
        if peers:
            from tests.benchmarks.peers import measure_peers

            naive = compared.paths[NAIVE].vectors
            geometries[resize]["peers"] = measure_peers(catalog, backbone, rounds, naive)
    if to_json:
        told = {"model": model, "weights": weights, "dtype": dtype, "rounds": rounds}
        told |= {"processor": processor_in_words(), "versions": versions()}
        to_json.write_text(json.dumps({**told, "geometries": geometries}, indent=1) + "\n")


def versions() -> dict[str, str]:
    """Name the versions of what computes."""
    return versions_of(PACKAGES)


def distinct_pictures(listed: Catalog, most: int | None) -> Catalog:
    """Keep the first picture of each content: equal bytes are computed once in one path only."""
    seen, kept = set(), []
    for i, path in enumerate(listed.paths):
        content = hashlib.sha256((listed.images_root / path).read_bytes()).digest()
        if content not in seen and (most is None or len(kept) < most):
            seen.add(content)
            kept.append(i)
    ids, paths = (tuple(names[i] for i in kept) for names in (listed.ids, listed.paths))
    return Catalog(listed.name, listed.images_root, ids, paths)


def compare(
    catalog: Catalog,
    backbones: Sequence[Backbone],
    runtimes: Sequence[str],
    dtype: str,
    rounds: int,
) -> list[Compared]:
    """Run every path and its parts in turn, those of each backbone, so many times."""
    ways = [_paths(catalog, backbone, runtimes, dtype) for backbone in backbones]
    compared = [Compared(len(catalog), {name: Measured() for name in w}, [], {}) for w in ways]
    parts: dict[int, _Parts] = {}
    for _ in range(rounds):
        for i, backbone in enumerate(backbones):
            for name, run in ways[i].items():
                run(compared[i].paths[name])
            if i not in parts:
                parts[i] = _Parts(catalog, backbone, compared[i])
            parts[i].time(compared[i])
    return compared


def _paths(
    catalog: Catalog, backbone: Backbone, runtimes: Sequence[str], dtype: str
) -> dict[str, Callable[[Measured], None]]:
    paths: dict[str, Callable[[Measured], None]] = {
        NAIVE: lambda into: _time_naive(catalog, backbone, into),
        REFERENCE: lambda into: _time_ours(
            catalog, backbone, Options(decoder="reference", runtime="eager", dtype="fp32"), into
        ),
    }
    for runtime in runtimes:
        options = Options(decoder="fast", runtime=runtime, dtype=dtype)
        paths[f"fast, {runtime}"] = lambda into, options=options: _time_ours(
            catalog, backbone, options, into
        )
    return paths


def plain_loop(model: torch.nn.Module, transform: Any, files: Sequence[Path]) -> np.ndarray:
    """Embed pictures as plain code does, one after the other."""
    vectors = []
    with torch.no_grad():
        for file in files:
            picture = Image.open(file).convert("RGB")
            vectors.append(model(transform(picture).unsqueeze(0))[0].numpy())
    return np.stack(vectors)


def _time_naive(catalog: Catalog, backbone: Backbone, into: Measured) -> None:
    transform = backbone.preprocessing.transform()  # timm's own
    files = [catalog.images_root / path for path in catalog.paths]
    with _peak_of_first_round(into), costing() as loop:
        into.vectors = plain_loop(backbone.model, transform, files)
    into.loops.append(loop)
    into.beside.append(Cost())


@contextmanager
def _peak_of_first_round(into: Measured) -> Iterator[None]:
    if into.peaks:
        yield
        return
    forget_peak()
    yield
    into.peaks.append(peak_bytes())


class _LoopClock(Monitor):
    """Times a run's loop: from all being ready to the last durable row."""

    def __init__(self) -> None:
        self.loop = Cost()
        self._clock = Clock()

    def ready(self) -> None:
        self._clock = Clock()

    def waited(self, seconds: float, stages: object) -> None:
        self.loop = self._clock.cost()


def _time_ours(catalog: Catalog, backbone: Backbone, options: Options, into: Measured) -> None:
    monitor = _LoopClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        with _peak_of_first_round(into), costing() as whole:
            report = extract_embeddings(catalog, backbone, path, options=options, monitor=monitor)
        assert report.embedded == len(catalog), "a picture is refused: leave it out"
        into.vectors = np.array(read_embeddings(path).vectors)
    into.execution_config = dict(report.execution_config)
    into.loops.append(monitor.loop)
    into.beside.append(Cost(whole.cpu - monitor.loop.cpu, whole.wall - monitor.loop.wall))


class _Parts:
    """Decoding alone and the forward passes alone, in the batches of the paths."""

    def __init__(self, catalog: Catalog, backbone: Backbone, compared: Compared) -> None:
        self._catalog, self._backbone = catalog, backbone
        ways = {name: m.execution_config for name, m in compared.paths.items() if "fast" in name}
        self._batch_size = int(next(iter(ways.values()))["batch_size"])
        n_batches = len(catalog) // self._batch_size or 1
        self._ready = self._ring(min(n_batches, MOST_READY_BATCHES))
        self._decode(self._ready, min(len(catalog), self._ready.batches[..., 0, 0, 0].size))
        self._forward = {name: prepared_on_host(backbone, way) for name, way in ways.items()}
        for forward in self._forward.values():
            forward(self._ready.place(0))

    def time(self, into: Compared) -> None:
        """Time each part once; costs are those of the whole catalogue."""
        ring = self._ring(LEAST_BATCHES + 1)
        with costing() as decoding:
            self._decode(ring, len(self._catalog))
        into.decoding.append(decoding)
        for name, forward in self._forward.items():
            with costing() as cost:
                for batch in range(self._ready.n_batches):
                    forward(self._ready.place(batch))
            held = min(self._ready.n_batches * self._batch_size, len(self._catalog))
            scale = len(self._catalog) / held
            cost = replace(cost, cpu=cost.cpu * scale, wall=cost.wall * scale)
            into.forward.setdefault(name, []).append(cost)

    def _ring(self, n_batches: int) -> BatchRing:
        return BatchRing(n_batches, self._batch_size, self._backbone.preprocessing.size)

    def _decode(self, ring: BatchRing, n_images: int) -> None:
        """Load pictures into a ring as a run does, as far ahead as it has room."""
        seen = self._backbone.preprocessing
        destination = Destination(seen, "fast", ring.batches, lambda *_: True)
        loader, workers = PictureLoader(self._catalog, [destination]), usable_cores()
        few = workers <= FEW_WORKERS
        loaders: LoadingWorkers = (
            LoadingThreads(loader, workers) if few else LoadingProcesses(loader, workers, print)
        )
        asked: deque[Task] = deque()
        room = ring.n_batches * self._batch_size
        for begin in range(0, n_images, loaders.task_size):
            rows = tuple(range(begin, min(begin + loaders.task_size, n_images)))
            places = tuple((Place(0, *divmod(row, self._batch_size)),) for row in rows)
            while asked and rows[-1] - asked[0].rows[0] >= room:
                asked.popleft()
                loaders.next()
            loaders.submit(Task(rows, places))
            asked.append(Task(rows, places))
        for _ in asked:
            loaders.next()
        loaders.close()


def overlap_of_neighbors(vectors: np.ndarray, reference: np.ndarray, k: int = NEIGHBORS) -> float:
    """Say which share of the k nearest neighbors, by cosine, two sets of rows have in common.

    Parameters
    ----------
    vectors, reference : ndarray of shape (n, n_dims)
    k : int
        At most n - 1 are compared.
    """
    k = min(k, len(vectors) - 1)
    if k < 1:
        return 1.0
    found = []
    for rows in (vectors, reference):
        unit = rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True)
        alike = unit @ unit.T
        np.fill_diagonal(alike, -np.inf)
        found.append(np.argpartition(-alike, k - 1, axis=1)[:, :k])
    pairs = zip(*found, strict=True)
    return float(np.mean([len(np.intersect1d(one, other)) / k for one, other in pairs]))


def described(compared: Compared) -> dict[str, Any]:
    """Give the figures of every path as plain numbers, with every round."""
    naive = compared.cpu_ms(compared.paths[NAIVE].loops)
    reference = compared.paths[REFERENCE].vectors
    paths = {}
    for name, path in compared.paths.items():
        cpu = compared.cpu_ms(path.loops)
        paths[name] = {
            "pictures_per_second": compared.n_images
            / statistics.median(cost.wall for cost in path.loops),
            "cpu_ms": cpu,
            "times_naive": ratio(naive, cpu),
            "worst_cosine": float(cosines(path.vectors, reference).min()),
            "neighbors": overlap_of_neighbors(path.vectors, reference),
            "beside_cpu_s": [cost.cpu for cost in path.beside],
            "beside_wall_s": [cost.wall for cost in path.beside],
            "peak_bytes": max(path.peaks),
            "realisation": path.execution_config,
        }
        if name in compared.forward:
            limit = compared.limit_ms(name)
            paths[name] |= {
                "forward_cpu_ms": compared.cpu_ms(compared.forward[name]),
                "limit_cpu_ms": limit,
                "share_of_limit": limit / statistics.median(cpu),
            }
    decoding = {
        "cpu_ms": compared.cpu_ms(compared.decoding),
        "rounds": [asdict(cost) for cost in compared.decoding],
    }
    return {"n_images": compared.n_images, "paths": paths, "decoding_alone": decoding}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Say how many times less the second costs, round by round; the median of the rounds."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def lines_of(compared: Compared) -> list[str]:
    """Lay the figures out as a table, then the parts and what lies beside the loop."""
    found = described(compared)
    heads = ("pictures/s", "CPU ms a picture", "x naive", "worst cosine", "10-NN", "peak MB")
    widths = (10, 25, 9, 14, 8, 9)
    titles = [f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)]
    lines = [f"{'':18}" + "".join(titles) + "  share of limit"]
    for name, path in found["paths"].items():
        cells = (
            f"{path['pictures_per_second']:.1f}",
            _spread(path["cpu_ms"]),
            f"{path['times_naive']:.2f}",
            f"{path['worst_cosine']:.6f}",
            f"{path['neighbors']:.4f}",
            f"{path['peak_bytes'] / 1e6:.0f}",
        )
        row = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{name:18}{row}" + _share(path))
    lines.append(f"decoding alone: {_spread(found['decoding_alone']['cpu_ms'])} CPU ms a picture")
    for name, path in found["paths"].items():
        if "forward_cpu_ms" in path:
            lines.append(
                f"{name}: forward alone {_spread(path['forward_cpu_ms'])}, limit "
                f"{path['limit_cpu_ms']:.2f} CPU ms a picture"
            )
    for name, path in found["paths"].items():
        cpu, wall = (statistics.median(path[f"beside_{kind}_s"]) for kind in ("cpu", "wall"))
        if cpu:
            lines.append(f"{name}: beside the loop {cpu:.1f} s of CPU, {wall:.1f} s")
    return lines


def _share(path: dict[str, Any]) -> str:
    share = path.get("share_of_limit")
    if share is None:
        return ""
    return f"{100 * share:13.1f} %" + ("" if share >= SHARE_ASKED else " (under 90)")


def _spread(numbers: Sequence[float]) -> str:
    return f"{statistics.median(numbers):.2f} ({min(numbers):.2f}-{max(numbers):.2f})"
