"""How rows are computed: what is wanted, what the file has, and what this machine can."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from extract.backbones.registry import Backbone, choose_device
from extract.errors import UsageError
from extract.images.decoding import READING, READINGS
from extract.inference.fused_check import can_be_fused, why_not_fused
from extract.inference.openvino_runtime import PRECISIONS
from extract.inference.runtimes import DTYPES, can_run, choose_dtype, choose_runtime
from extract.inference.wanted import ExecutionOptions
from extract.machine.packages import is_installed
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import EmbeddingsTable

CPU_BATCH_SIZE = 16
MOST_IN_A_GPU_BATCH, LEAST_IN_A_GPU_BATCH = 256, 8
COMPILES_FROM = 50_000
"""Pictures from which on compiling, most of a minute once, is worth it; fused kernels too: they
take ten seconds once, then two a run, and gain half of one on 10,000 pictures."""

CONVERTS_FROM = 500
"""Pictures from which on OpenVINO, which takes two seconds more to prepare, is worth it."""

ENOUGH_CORES, LARGE_FILE_BYTES = 12, 100_000
"""With fewer cores, or files larger than that on average, a GPU without an engine for JPEGs takes a
share of the decoding: a fifth more pictures a second on 8 cores, two thirds more of 2.4 megapixels
on 16; nothing else."""

LIGHT_BYTES = 64 << 20
"""Of pictures, from which on loading torchvision to resize them is worth it: Pillow takes some 8 ms
longer a megapixel, and torch two to three seconds once."""

FAST_WAYS = (("fast", "torchvision"), ("reference", "torchvision"), ("reference", "pillow"))
WAYS_OF_DECODING = {
    "reference": (("reference", "pillow"),),
    "light": (("light", "pillow"), ("reference", "pillow")),
    "fast": FAST_WAYS,
    "scaled": (("scaled", "torchvision"), *FAST_WAYS),
    "gpu": (("gpu", "gpu"), *FAST_WAYS),
}
"""By the requested decoder: what decodes and resizes its pictures, then those it leaves."""


def choose_execution_config(
    backbone: Backbone,
    table: EmbeddingsTable | None,
    wanted: ExecutionOptions | None = None,
    file_bytes: np.ndarray | None = None,
    warn: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Choose how this run computes; what is not given is as most rows of the file have it.

    Equal slices on equal threads give equal bits, so a resumed file equals an uninterrupted one.

    Parameters
    ----------
    backbone : Backbone
    table : EmbeddingsTable or None
        The file there, if any.
    wanted : ExecutionOptions, optional
    file_bytes : ndarray of shape (n_images,), optional
        Of the catalogue's pictures: compiling pays for many only, decoding on a GPU for large ones.
    warn : callable, optional
        Takes a line where the fused kernels are not near enough to the reference path here.

    Raises
    ------
    UsageError
        When something is wanted that this machine or backbone has not.
    """
    wanted = wanted or ExecutionOptions()
    stored: Mapping[str, Any] = table.most_common_execution_config() if table else {}
    device = backbone.device.split(":")[0]
    dtype: str = wanted.dtype
    keeps = bool(stored) and stored.get("device") == device
    if dtype == "auto" and keeps and wanted.runtime != "eager":  # which is of fp32
        dtype = stored.get("dtype", "fp32")
    dtype = choose_dtype(dtype, backbone.name, device, wanted.runtime)
    runtime = _choose_runtime(wanted, backbone, dtype, stored if keeps else {}, file_bytes)
    if runtime == "fused":
        n_images = 0 if file_bytes is None else len(file_bytes)
        runtime = _fused_where_near(wanted, backbone, dtype, n_images, warn)
    kept = _stored_policy(table) if stored else None
    if wanted.decoder == "auto" and kept is None and _is_light(runtime, backbone, file_bytes):
        kept = "light"
    if wanted.decoder == "auto" and not is_installed("torchvision"):
        kept = "light"
    decoder = _choose_decoder(wanted.decoder, backbone, kept, dtype, file_bytes)
    return {
        "decoder": decoder,
        "resize": WAYS_OF_DECODING[decoder][0][1],
        "dtype": dtype,
        "runtime": runtime,
        "device": device,
        "batch_size": wanted.batch_size
        or stored.get("batch_size")
        or usual_batch_size(backbone, device),
        "threads": wanted.threads or stored.get("threads") or _usual_threads(backbone),
    }


def _usual_threads(backbone: Backbone) -> int:
    if backbone.exported and backbone.device == "cpu":
        return usable_cores()
    import torch

    return torch.get_num_threads()


def _choose_runtime(
    wanted: ExecutionOptions,
    backbone: Backbone,
    dtype: str,
    stored: Mapping[str, Any],
    file_bytes: np.ndarray | None,
) -> str:
    """Take the requested runtime; ``auto`` is the file's, else what pays for this many pictures."""
    runtime: str = wanted.runtime
    of_other_numbers = "fused" if dtype == "fp32" else "eager"
    fits = can_run(stored.get("runtime")) and stored["runtime"] != of_other_numbers
    if runtime == "auto" and wanted.compiled is None and _computes_exported(backbone, dtype):
        return "openvino"
    if runtime == "auto" and wanted.compiled is None and fits:
        return str(stored["runtime"])
    n_images = 0 if file_bytes is None else len(file_bytes)
    free = runtime == "auto" and wanted.compiled is None and dtype != "fp32"
    if free and n_images >= COMPILES_FROM and can_be_fused(backbone):
        return "fused"
    compiled = False if wanted.compiled is None and n_images < COMPILES_FROM else wanted.compiled
    if runtime == "auto" and n_images < CONVERTS_FROM:
        runtime = "torch"
    return choose_runtime(runtime, backbone.name, backbone.device, dtype, compiled)


def _computes_exported(backbone: Backbone, dtype: str) -> bool:
    """Whether a backbone's exported file computes it here."""
    on_cpu = backbone.device == "cpu" and dtype in PRECISIONS
    return on_cpu and backbone.exported is not None and can_run("openvino")


def _fused_where_near(
    wanted: ExecutionOptions,
    backbone: Backbone,
    dtype: str,
    n_images: int,
    warn: Callable[[str], None] | None,
) -> str:
    """Fuse what agrees with the reference path on drawn pictures; torch does the rest, and say."""
    if can_be_fused(backbone):
        why = why_not_fused(backbone, dtype)
        if why is None:
            return "fused"
        if warn:
            warn(f"{why}: torch computes instead")
    elif wanted.runtime == "fused":
        raise UsageError(
            f"{backbone.name} is no ConvNeXt of plain blocks on a GPU: use --runtime torch"
        )
    compiled = False if n_images < COMPILES_FROM else None
    return choose_runtime("torch", backbone.name, backbone.device, dtype, compiled)


def requested_decoder(execution_config: Mapping[str, Any]) -> str:
    """Name the decoder that was requested where a row was computed so.

    A picture that the fast decoder leaves to the reference one is still resized in the fast way.
    """
    decoder = str(execution_config.get("decoder", "reference"))
    fell_back = decoder == "reference" and execution_config.get("resize") == "torchvision"
    return "fast" if fell_back else decoder


def reference_execution_config(backbone: Backbone) -> dict[str, Any]:
    """Say how the reference path computes on a backbone's device."""
    return choose_execution_config(
        backbone, None, ExecutionOptions(1, None, "reference", "fp32", "eager")
    )


def available_execution_config(
    backbone: Backbone, stored: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Take the first of a file's execution configs that can be had here, else the reference path's.

    One picture is not worth compiling for: a file of compiled rows is queried without it.
    """
    reference = reference_execution_config(backbone)
    for each in stored:
        if (
            requested_decoder(each) not in WAYS_OF_DECODING
            or each.get("dtype", "fp32") not in DTYPES
        ):
            continue  # a later version's
        here = {
            **reference,
            **each,
            "decoder": requested_decoder(each),
            "threads": reference["threads"],
        }
        prepared_longer = here["runtime"] in ("compiled", "fused")
        here["runtime"] = "folded" if prepared_longer else here["runtime"]
        if _computes_exported(backbone, here["dtype"]):
            light = here["decoder"] == "fast"  # a picture is not worth loading torchvision for
            here |= {"runtime": "openvino", "decoder": "light" if light else here["decoder"]}
        if here["device"] == reference["device"] and can_run(here["runtime"]):
            return here
    return reference


def variants(execution_config: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """List how rows of a run may come to be computed: as chosen, or by what its decoder leaves.

    What is left to the reference decoder may be read by its header, too.
    """
    ways = [
        {**execution_config, "decoder": one, "resize": other}
        for one, other in WAYS_OF_DECODING[requested_decoder(execution_config)]
    ]
    left = [way for way in ways if way["decoder"] == "reference"]
    return (*ways, *({**way, "reading": each} for each in READINGS.values() for way in left))


def usual_batch_size(backbone: Backbone, device: str) -> int:
    """Take the batch size that was measured best; on a GPU as much of it as its memory holds."""
    if device != "cuda":
        return CPU_BATCH_SIZE
    import torch

    size, batch_size = backbone.preprocessing.size, MOST_IN_A_GPU_BATCH
    pixels = torch.zeros(1, 3, size, size, device=backbone.device)
    while batch_size > LEAST_IN_A_GPU_BATCH:
        try:
            with torch.inference_mode():
                backbone.model(pixels.expand(batch_size, -1, -1, -1))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            batch_size //= 2
        else:
            break
    torch.cuda.empty_cache()
    return batch_size


def _is_light(runtime: str, backbone: Backbone, file_bytes: np.ndarray | None) -> bool:
    """Whether resizing these pictures with Pillow costs less than loading torch for it.

    The run that exports a backbone has torch, but those that go on with its file need not.
    """
    if runtime != "openvino" or backbone.kept is None:
        return False
    return file_bytes is None or int(file_bytes[file_bytes > 0].sum()) < LIGHT_BYTES


def _choose_decoder(
    wanted: str, backbone: Backbone, stored: str | None, dtype: str, file_bytes: np.ndarray | None
) -> str:
    """Take the decoder wanted; ``auto`` is the file's, else a GPU's where it is to share.

    It is not in fp32: nvJPEG rounds chroma, which costs some pictures more than fp32 may lose.
    """
    if wanted == "gpu":
        _check_gpu_decoding(backbone)
        return wanted
    if wanted != "auto" or stored not in (None, "gpu") or (stored is None and dtype == "fp32"):
        return wanted if wanted != "auto" else stored or "fast"
    few = stored == "gpu" or _cores_are_too_few(file_bytes)
    try:
        _check_gpu_decoding(backbone, by_engine=not few)
    except UsageError:
        return "fast"
    return "gpu"


def may_decode_on_gpu(backbone: Backbone, wanted: ExecutionOptions) -> bool:
    """Say whether a GPU may come to decode for a backbone, before pictures and file are known."""
    from extract.images.jpeg_engine import is_installed
    from extract.transforms.ragged_resize import resizes_raggedly

    if not backbone.device.startswith("cuda") or backbone.view or wanted.dtype == "fp32":
        return False
    shared = _cores_are_too_few(None) or is_installed()
    likely = wanted.decoder == "gpu" or (wanted.decoder == "auto" and shared)
    return likely and resizes_raggedly(backbone.preprocessing)


def _cores_are_too_few(file_bytes: np.ndarray | None) -> bool:
    large = file_bytes is not None and file_bytes.size and file_bytes.mean() >= LARGE_FILE_BYTES
    return bool(large) or usable_cores() < ENOUGH_CORES


def _check_gpu_decoding(backbone: Backbone, *, by_engine: bool = False) -> None:
    """Refuse a device, a geometry or a library that decodes nothing on a GPU, or in its engine."""
    import torch

    from extract.images.gpu_decoding import gpu_decoder, has_engine
    from extract.transforms.ragged_resize import resizes_raggedly

    if backbone.view:
        raise UsageError("views are made by the cores: choose --decoder fast")
    if not backbone.device.startswith("cuda"):
        raise UsageError("--decoder gpu needs --device cuda: choose --decoder fast")
    if not resizes_raggedly(backbone.preprocessing):
        raise UsageError("a GPU does not resize in this way: choose --decoder fast")
    device = torch.device(backbone.device)
    if by_engine and not has_engine(device):
        raise UsageError(f"{device} has no engine for JPEGs, or nvImageCodec is not installed")
    gpu_decoder(device)


def _stored_policy(table: EmbeddingsTable | None) -> str:
    """Name the decoder that a file's rows were requested of: the one that leaves most to others."""
    if table is None:
        return "reference"
    ways = table.provenance.execution_configs
    found = {requested_decoder(ways[i]) for i in table.rows_by_execution_config() if i < len(ways)}
    found = found or set(map(requested_decoder, ways))  # laid out, and stopped before its first row
    return next((each for each in ("gpu", "scaled", "fast", "light") if each in found), "reference")


def device_for(path: Path, wanted: str) -> str:
    """Take the device named; ``auto`` is that of most of the file's rows, where it is here.

    Raises
    ------
    UsageError
        When the device named is not here.
    EmbeddingsFileError
        When there is a file that cannot be read.
    """
    if wanted == "auto" and path.exists():
        stored = str(read_table(path).most_common_execution_config().get("device"))
        with suppress(UsageError):
            return choose_device(stored)
    return choose_device(wanted)


def usable_cores() -> int:
    """Count the cores that this process may use, which may be fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def described(execution_config: Mapping[str, Any]) -> str:
    """Spell in a few words how rows are computed."""
    parts = ("device", "batch_size", "threads", "dtype", "runtime")
    chosen = {k: execution_config.get(k, "unknown") for k in parts} | {
        "decoder": requested_decoder(execution_config)
    }
    words = (
        "on {device}, batches of {batch_size}, {threads} threads, {dtype}, {runtime}, "
        "{decoder} decoding"
    ).format(**chosen)
    if "reading" not in execution_config:
        return words
    reader = str(execution_config["reading"]).removeprefix(READING).replace(";", ",", 1)
    return f"{words}, colors by the header{reader}"


def ways_of(table: EmbeddingsTable) -> list[str]:
    """Count the sound rows that were computed in each way, in words."""
    ways = table.provenance.execution_configs
    counts: Counter[str] = Counter()
    for i, rows in table.rows_by_execution_config().items():
        counts[described(ways[i]) if i < len(ways) else "in a way not recorded"] += len(rows)
    return [f"{count:,} {way}" for way, count in counts.items()]
