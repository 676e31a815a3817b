"""What decoding JPEGs on a GPU gives, costs, and does to the model beside it.

``python tests/benchmarks/gpu_decoding.py`` from the project's root, or through ``python -m
tests.benchmarks gpu_decoding``. ``--compile`` compiles the model, which takes a minute more.
"""

from __future__ import annotations

import argparse
import io
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

SMALL = [(500, 500), (500, 375), (375, 500), (500, 333), (500, 441), (389, 500)]
BIG = [(1800, 1350), (1350, 1800)]
SECONDS = 0.8
PARTS = ("fidelity", "rates", "beside")
ODD = ((640, 80), (80, 640), (150, 200), (331, 97), (97, 331), (223, 225), (90, 70), (1201, 899))
"""Long, small and odd sides, beside those that photographs have."""


def measure(
    device: str = "cuda",
    seconds: float = SECONDS,
    compiled: bool = False,
    resizes: Sequence[str] | None = None,
    model: str = "efficientnet_lite0",
    weights: str = "pretrained",
    only: Sequence[str] | None = None,
) -> None:
    """Print the versions, rates, costs and fidelity, a line each as it comes."""
    import torch

    on = torch.device(device)
    resizes, only = resizes or ["crop"], only or PARTS
    _print_versions(on)
    if "fidelity" in only:
        _print_rows(model, weights, resizes, on)
    with ThreadPoolExecutor(8) as pool:
        small = list(pool.map(_jpeg, [SMALL[i % len(SMALL)] for i in range(384)], range(384)))
        big = list(pool.map(_jpeg, [BIG[i % len(BIG)] for i in range(48)], range(48)))
    for name, files in (("small", small), ("big", big)):
        print(f"{name}: {len(files)} files of {sum(map(len, files)) / len(files) / 1e3:.0f} kB")
    if "fidelity" in only:
        for resize in resizes:
            _print_fidelity(small[:48], big[:8], on, resize)
    if "rates" in only:
        _print_screening(small)
        _print_rates(small, big, on, seconds, resizes)
    if on.type == "cuda" and "beside" in only:
        for resize in resizes:
            _print_resize_alone(small, on, resize)
        _print_beside_a_model(small, on, seconds * 4, compiled, resizes)


def _print_rates(
    small: list[bytes], big: list[bytes], on: Any, seconds: float, resizes: Sequence[str]
) -> None:
    for decoder in _working_decoders(on):
        print(f"\n{decoder}\n{'':38}pictures/s   CPU ms a picture")
        for files, what, batches in ((small, "small", (32, 64, 128, 256)), (big, "big", (32,))):
            for batch in batches:
                for threads in (1, 2, 3):
                    name = f"decode {what} batch {batch} threads {threads}"
                    _print_rate(name, _decode_only(files, batch, decoder, on), threads, seconds, on)
        for files, what, batches in ((small, "small", (64, 128)), (big, "big", (32,))):
            for batch in batches:
                for threads, resize in product((1, 2, 3), resizes):
                    name = f"+ {resize} {what} batch {batch} threads {threads}"
                    step = _place(files, batch, decoder, on, resize)
                    _print_rate(name, step, threads, seconds, on)


def _print_versions(on: Any) -> None:
    import torch

    def installed(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"no {name}"

    names = ("torch", "torchvision", "torchcodec", "nvidia-nvimgcodec-cu13", "pillow", "timm")
    print(", ".join(map(installed, names)), f"CUDA {torch.version.cuda}", sep=", ")
    if on.type == "cuda":
        print(torch.cuda.get_device_name(on), f"{len(os.sched_getaffinity(0))} cores", sep=", ")


def _working_decoders(on: Any) -> list[str]:
    from extract.images.gpu_decoding import DECODERS, _works

    working = [name for name in DECODERS if _works(name, on)]
    print(f"decoders that work here: {', '.join(working) or 'none'}")
    return working


def _nvjpeg(on: Any) -> tuple[str, Any]:
    """Name the first of its libraries that works, and give it."""
    from extract.images.gpu_decoding import NVJPEG

    name = next(each for each in _working_decoders(on) if each in NVJPEG)
    return name, NVJPEG[name]


def _jpeg(size: tuple[int, int], seed: int, **options: Any) -> bytes:
    """Draw soft shapes with some grain: about 1.5 bits a pixel, as product photographs have."""
    import numpy as np
    from PIL import Image

    width, height = size
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 1))
    picture = np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=77, **options)
    return buffer.getvalue()


def _preprocessing(resize: str) -> Any:
    from extract.transforms.preprocessing import Preprocessing

    return Preprocessing(
        224, "crop", 0.875, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ).resized(resize)


def _print_rows(model: str, weights: str, resizes: Sequence[str], on: Any) -> None:
    """Worst cosine of rows of pictures decoded here with those of the reference's pixels.

    Both go through the eager model in fp32: what differs is decoding and geometry alone. The
    pictures have hard edges, where repeated chroma shows most, and all samplings.
    """
    import numpy as np
    import torch
    from PIL import Image

    from extract.backbones.registry import load_backbone
    from extract.images.gpu_decoding import decode_on_gpu
    from extract.inference.execution_config import ExecutionOptions, choose_execution_config
    from extract.inference.fidelity import FP32_FLOOR, cosines
    from extract.inference.runtimes import prepared
    from tests.benchmarks.extraction_speed import overlap_of_neighbors

    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(_photo, range(144)))
    print(f"\n{model}, {weights} weights, fp32, {len(files)} photos; asked {FP32_FLOOR}")
    opened = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    for resize in resizes:
        backbone = load_backbone(model, weights=weights, device=str(on), resize=resize)
        wanted = backbone.preprocessing
        way = choose_execution_config(
            backbone, None, ExecutionOptions(len(files), None, "reference", "fp32", "eager")
        )
        forward = prepared(backbone, way)
        exact = torch.from_numpy(np.stack([wanted.placed(picture) for picture in opened]))
        placed, left_out = decode_on_gpu(files, wanted, on)
        rows, reference = (forward(pixels.to(on)).cpu().numpy() for pixels in (placed, exact))
        decoded = [i for i in range(len(files)) if i not in left_out]
        if not decoded:
            print(f"{resize:8}nothing was decoded here")
            continue
        alike = cosines(rows[decoded], reference[decoded])
        apart = np.abs(placed.cpu().numpy().astype(int) - exact.numpy())[decoded]
        worst = int(np.argmin(alike))
        print(
            f"{resize:8}{len(decoded)} decoded here, worst cosine {alike.min():.6f} "
            f"({opened[decoded[worst]].size}), 10-NN "
            f"{overlap_of_neighbors(rows[decoded], reference[decoded]):.4f}, levels apart: "
            + _levels(apart)
            + ("" if alike.min() >= FP32_FLOOR else "  BELOW WHAT IS ASKED"),
            flush=True,
        )


def _photo(seed: int) -> bytes:
    from tests.benchmarks.photo_files import KINDS, draw_photo

    kind = KINDS["photos" if seed % 12 == 0 else "small"]
    kind = replace(kind, sizes=ODD) if seed % 3 == 1 else kind
    buffer = io.BytesIO()
    sampling = ("4:2:0", "4:2:0", "4:2:2", "4:4:4")[seed // 3 % 4]
    draw_photo(kind, seed).save(buffer, "JPEG", quality=kind.quality, subsampling=sampling)
    return buffer.getvalue()


def _print_fidelity(small: list[bytes], big: list[bytes], on: Any, resize: str) -> None:
    """Levels apart from Pillow, with and without what puts interpolated chroma back."""
    import numpy as np
    import torch
    from PIL import Image

    from extract.images.gpu_decoding import has_engine
    from extract.transforms.ragged_resize import resize_ragged

    wanted = _preprocessing(resize)
    library, decode = _nvjpeg(on)
    sharp = [_jpeg(SMALL[i % len(SMALL)], i, subsampling="4:4:4") for i in range(24)]
    half = [_jpeg(SMALL[i % len(SMALL)], i, subsampling="4:2:2") for i in range(24)]
    print(f"\nlevels apart from Pillow, {resize}, by {library}")
    for name, files, sampling in (
        ("500 px 4:2:0", small, (2, 2)),
        ("2.4 Mpx 4:2:0", big, (2, 2)),
        ("500 px 4:2:2", half, (1, 2)),
        ("500 px 4:4:4", sharp, (1, 1)),
    ):
        opened = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
        reference = np.stack([wanted.placed(picture) for picture in opened]).astype(int)
        encoded = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
        decoded = decode(encoded, on)
        whole = np.concatenate(
            [
                np.abs(a.permute(1, 2, 0).cpu().numpy().astype(int) - np.asarray(b)).ravel()
                for a, b in zip(decoded, opened, strict=True)
            ]
        )
        print(f"{name:16}{'before the resize':26}" + _levels(whole))
        for how, samplings in (("as decoded", None), ("chroma put back", [sampling] * len(files))):
            placed = resize_ragged(decoded, wanted, samplings).cpu().numpy().astype(int)
            print(f"{name:16}{how:26}" + _levels(np.abs(placed - reference)))
        exact = [torch.from_numpy(np.array(p)).permute(2, 0, 1).to(on) for p in opened]
        placed = resize_ragged(exact, wanted).cpu().numpy().astype(int)
        print(f"{name:16}{'the resize alone':26}" + _levels(np.abs(placed - reference)))
        if has_engine(on):
            _print_engine(name, encoded, opened, wanted, reference, on)


def _print_engine(
    name: str, encoded: list[Any], opened: list[Any], wanted: Any, reference: Any, on: Any
) -> None:
    """The same of the GPU's engine and of what resizes behind it."""
    import numpy as np
    import torch

    from extract.images.jpeg_engine import decode_by_engine
    from extract.transforms.fused_resize import StoredPicture, resize_stored

    decoded = decode_by_engine(encoded, on)
    whole = [
        np.abs(torch.from_dlpack(a.owner).cpu().numpy().astype(int) - np.asarray(b)).ravel()
        for a, b in zip(decoded, opened, strict=True)
    ]
    print(f"{name:16}{'engine, before the resize':26}" + _levels(np.concatenate(whole)))
    exact = [torch.from_numpy(np.array(p)).to(on) for p in opened]
    stored = [StoredPicture(each.data_ptr(), *each.shape[:2], each) for each in exact]
    for how, pictures in (("engine, resized", decoded), ("its resize alone", stored)):
        placed = resize_stored(pictures, wanted, on).cpu().numpy().astype(int)
        print(f"{name:16}{how:26}" + _levels(np.abs(placed - reference)))


def _levels(apart: Any) -> str:
    over = "  ".join(f">{n}: {(apart > n).mean():.5f}" for n in (0, 1, 2, 4))
    return f"mean {apart.mean():.3f}  max {apart.max()}  {over}"


def _print_screening(files: list[bytes]) -> None:
    from extract.formats.jpeg_screening import MOST_HEADER, plain_jpeg

    started = time.perf_counter()
    n_plain = sum(plain_jpeg(f[:MOST_HEADER], f[-2:]) is not None for f in files)
    each = (time.perf_counter() - started) / len(files)
    print(f"\nscreening: {n_plain} of {len(files)} plain, {each * 1e6:.1f} us each")


def _decode_only(files: list[bytes], batch: int, decoder: str, on: Any) -> Callable[[int], int]:
    import torch

    from extract.images.gpu_decoding import NVJPEG
    from extract.images.jpeg_engine import decode_by_engine

    decode = NVJPEG.get(decoder, decode_by_engine)
    encoded = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]

    def step(turn: int) -> int:
        chosen = [encoded[(turn * batch + i) % len(encoded)] for i in range(batch)]
        decode(chosen, on)
        return batch

    return step


def _place(
    files: list[bytes], batch: int, decoder: str, on: Any, resize: str
) -> Callable[[int], int]:
    from extract.images.gpu_decoding import decode_on_gpu

    wanted = _preprocessing(resize)

    def step(turn: int) -> int:
        chosen = [files[(turn * batch + i) % len(files)] for i in range(batch)]
        _, left_out = decode_on_gpu(chosen, wanted, on, decoder)
        return batch - len(left_out)

    return step


def _print_rate(
    name: str, step: Callable[[int], int], threads: int, seconds: float, on: Any
) -> None:
    """Run a step in threads, each with a stream of its own, and print what they did together."""
    stop = threading.Event()
    counts = [0] * threads
    workers = [
        threading.Thread(target=_repeat, args=(step, stop, counts, i, on)) for i in range(threads)
    ]
    for worker in workers:
        worker.start()
    time.sleep(0.25)  # the first batches make decoders, streams and memory
    before, cpu, started = sum(counts), time.process_time(), time.perf_counter()
    time.sleep(seconds)
    done = sum(counts) - before
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    stop.set()
    for worker in workers:
        worker.join()
    print(f"{name:38}{done / took:10,.0f}   {cpu / max(done, 1) * 1e3:8.3f}", flush=True)


def _repeat(
    step: Callable[[int], int], stop: threading.Event, counts: list[int], i: int, on: Any
) -> None:
    import torch

    stream = torch.cuda.Stream(on) if on.type == "cuda" else None
    turn = i * 7
    with torch.inference_mode(), torch.cuda.stream(stream):
        while not stop.is_set():
            counts[i] += step(turn)
            turn += 1
            if stream is not None:
                stream.synchronize()


def _print_resize_alone(files: list[bytes], on: Any, resize: str) -> None:
    import torch

    from extract.transforms.ragged_resize import resize_ragged

    wanted = _preprocessing(resize)
    encoded = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files[:64]]
    decoded = _nvjpeg(on)[1](encoded, on)
    print(f"\n{resize} of 64 decoded pictures, ms: GPU and host wait, host's CPU")
    _print_resize_time("as decoded", decoded, None, wanted)
    _print_resize_time("chroma put back", decoded, [(2, 2)] * 64, wanted)
    with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as seen:
        resize_ragged(decoded, wanted, [(2, 2)] * 64)
        torch.cuda.synchronize()
    table = seen.key_averages()
    print(table.table(sort_by="device_time_total", row_limit=12, max_name_column_width=48))


def _print_resize_time(how: str, decoded: list[Any], samplings: Any, wanted: Any) -> None:
    import torch

    from extract.transforms.ragged_resize import resize_ragged

    for _ in range(3):
        resize_ragged(decoded, wanted, samplings)
    torch.cuda.synchronize()
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(20):
        resize_ragged(decoded, wanted, samplings)
    submitted = time.perf_counter() - started
    torch.cuda.synchronize()
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"{how:20}{took * 50:8.2f}  {cpu * 50:8.2f}   (submitted in {submitted * 50:.2f})")


def _print_beside_a_model(
    files: list[bytes], on: Any, seconds: float, compiled: bool, resizes: Sequence[str]
) -> None:
    """Print the forward alone, beside a free decoder, and fed by it: end to end from bytes."""
    import timm
    import torch

    model = timm.create_model("convnext_base", num_classes=0).eval().requires_grad_(False)
    model = model.to(on, torch.bfloat16, memory_format=torch.channels_last)
    mean = torch.tensor([0.485, 0.456, 0.406], device=on)[:, None, None] * 255
    std = torch.tensor([0.229, 0.224, 0.225], device=on)[:, None, None] * 255

    def forward(pixels: Any) -> Any:
        scaled = (pixels.permute(0, 3, 1, 2).float() - mean) / std
        return model(scaled.to(torch.bfloat16)).float()

    run = torch.compile(forward) if compiled else forward
    pixels = torch.randint(0, 256, (256, 224, 224, 3), dtype=torch.uint8, device=on)
    with torch.inference_mode():
        for _ in range(3):
            run(pixels).cpu()
    name = "compiled" if compiled else "eager"
    print(f"\nconvnext_base bf16 {name}, batch 256\n{'':38}pictures/s   CPU ms a picture")

    def step(turn: int) -> int:
        run(pixels).cpu()
        return len(pixels)

    _print_rate("forward alone", step, 1, seconds, on)
    for decoder in _working_decoders(on):
        for threads, resize in product((1, 2), resizes):
            stop, counts = threading.Event(), [0] * threads
            place = _place(files, 64, decoder, on, resize)
            beside = [
                threading.Thread(target=_repeat, args=(place, stop, counts, i, on))
                for i in range(threads)
            ]
            for worker in beside:
                worker.start()
            started = time.perf_counter()
            name = f"forward beside {threads} of {decoder}, {resize}"
            _print_rate(name, step, 1, seconds, on)
            stop.set()
            for worker in beside:
                worker.join()
            rate = sum(counts) / (time.perf_counter() - started)
            print(f"  meanwhile placed{'':22}{rate:10,.0f}", flush=True)
            _print_end_to_end(files, run, decoder, threads, seconds, on, resize)


def _print_end_to_end(
    files: list[bytes],
    run: Any,
    decoder: str,
    threads: int,
    seconds: float,
    on: Any,
    resize: str,
) -> None:
    """Threads decode 64 at a time into batches of 256; this thread runs the model on them."""
    import torch

    from extract.images.gpu_decoding import decode_on_gpu

    wanted = _preprocessing(resize)
    ready: queue.Queue[Any] = queue.Queue(maxsize=4)
    stop = threading.Event()

    def feed(i: int) -> None:
        turn = i * 5
        with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream(on)):
            stream = torch.cuda.current_stream(on)
            while not stop.is_set():
                batch = torch.empty((256, 224, 224, 3), dtype=torch.uint8, device=on)
                for part in batch.split(64):
                    chosen = [files[(turn * 64 + k) % len(files)] for k in range(64)]
                    part.copy_(decode_on_gpu(chosen, wanted, on, decoder)[0])
                    turn += 1
                ready.put((batch, stream.record_event()))

    feeders = [threading.Thread(target=feed, args=(i,)) for i in range(threads)]
    for feeder in feeders:
        feeder.start()
    stream = torch.cuda.Stream(on)
    done, started, cpu, kept = 0, 0.0, 0.0, None
    with torch.inference_mode(), torch.cuda.stream(stream):
        turn = 0
        while not started or time.perf_counter() - started < seconds:
            batch, decoded = ready.get()
            stream.wait_event(decoded)
            batch.record_stream(stream)
            rows = run(batch).to("cpu", non_blocking=True), stream.record_event()
            if kept is not None:
                kept[1].synchronize()
            kept = rows
            turn += 1
            if turn == 8:
                started, cpu = time.perf_counter(), time.process_time()
            elif started:
                done += len(batch)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    stop.set()
    while any(feeder.is_alive() for feeder in feeders):
        while not ready.empty():
            ready.get()
        time.sleep(0.01)
    name = f"end to end, {threads} of {decoder}, {resize}"
    print(f"{name:38}{done / took:10,.0f}   {cpu / max(done, 1) * 1e3:8.3f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--compile", action="store_true", dest="compiled")
    parser.add_argument("--resize", action="append", dest="resizes")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    measure(**vars(parser.parse_args()))
