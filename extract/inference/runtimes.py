"""What computes a forward pass: the reference, and faster ways to the same vectors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from extract.backbones.registry import BACKBONES, Backbone
from extract.errors import UsageError, in_one_line
from extract.inference.openvino_runtime import MISSING
from extract.machine.allocation import keep_freed_memory
from extract.machine.packages import is_installed
from extract.machine.processor import fast_float32_products

if TYPE_CHECKING:
    import numpy as np
    import torch

Forward = Callable[["torch.Tensor"], "torch.Tensor"]
"""uint8 (B, size, size, 3) on the backbone's device -> float32 (B, n_dims) there."""

HostForward = Callable[["np.ndarray"], "np.ndarray"]
"""The same of arrays, wherever it is computed."""

CHOICES = ("auto", "eager", "torch", "fused", "openvino")
DTYPES = ("fp32", "bf16", "fp16")


def prepared(backbone: Backbone, execution_config: Mapping[str, Any]) -> Forward:
    """Make a backbone ready to compute as an execution config states.

    Parameters
    ----------
    backbone : Backbone
        Left as it is.
    execution_config : mapping
        ``runtime``, ``dtype``, ``batch_size`` and ``threads``.

    Returns
    -------
    callable
        uint8 pixels of shape (batch_size, size, size, 3) on the backbone's device ->
        float32 vectors of shape (batch_size, n_dims) there, not waited for; each call's are its
        own. The pixels may be those of any buffer.

    Raises
    ------
    UsageError
        When the model cannot be computed that way.
    """
    import torch

    runtime = execution_config["runtime"]
    on_cpu = backbone.device.startswith("cpu")
    fast = runtime == "folded" and execution_config["dtype"] == "fp32" and on_cpu
    products = fast_float32_products if fast else nullcontext
    apply_execution_config(execution_config)  # a folded model is held against its original
    forward = RUNTIMES[runtime](backbone, execution_config)

    def run(pixels: torch.Tensor) -> torch.Tensor:
        apply_execution_config(execution_config)
        with torch.inference_mode(), products():
            return forward(pixels)

    return run


def prepared_on_host(backbone: Backbone, execution_config: Mapping[str, Any]) -> HostForward:
    """Make a backbone ready as :func:`prepared` does, for arrays; an exported one without torch."""
    if execution_config["runtime"] == "openvino":
        return _by_openvino(backbone, execution_config)
    import torch

    forward = prepared(backbone, execution_config)

    def run(pixels: np.ndarray) -> np.ndarray:
        vectors: np.ndarray = forward(torch.from_numpy(pixels).to(backbone.device)).cpu().numpy()
        return vectors

    return run


def apply_execution_config(execution_config: Mapping[str, Any]) -> None:
    """Make this process compute as chosen; fp32 means fp32 also on a GPU."""
    keep_freed_memory()
    if execution_config["runtime"] == "openvino" and "torch" not in sys.modules:
        return  # where torch is not loaded it need not be told
    import torch

    torch.set_num_threads(execution_config["threads"])
    # not cuda.matmul.allow_tf32: after another's "medium" that leaves torch at odds with itself
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def _eager(backbone: Backbone, execution_config: Mapping[str, Any]) -> Forward:
    """Compute as timm does: this is the reference, to the bit."""
    from extract.inference.normalizing import exact_normalisation

    if execution_config["dtype"] != "fp32":
        raise UsageError("--runtime eager is the reference, in fp32: use --runtime torch")
    normalise = exact_normalisation(backbone.preprocessing, backbone.device)
    return lambda pixels: backbone.model(normalise(pixels)).float()


def _folded(backbone: Backbone, execution_config: Mapping[str, Any]) -> Forward:
    """Compute a folded model; on a GPU one picture's many short kernels are launched at once."""
    from extract.inference.cuda_graph import recorded

    forward = _folded_model(backbone, execution_config)
    if execution_config["batch_size"] > 1:  # which take longer than it takes to launch them
        return forward
    try:
        return recorded(forward, _no_pictures(backbone, 1))
    except RuntimeError:  # what waits for the device, or asks it for a number, is not recorded
        return forward


def _folded_model(backbone: Backbone, execution_config: Mapping[str, Any]) -> Forward:
    """Fold the batch norms, let the channels lie side by side, compute in the dtype's numbers."""
    import torch

    from extract.inference.normalizing import FromPixels
    from extract.inference.weight_folding import fold

    dtype = torch_dtype(execution_config["dtype"])
    device, size = backbone.device, backbone.preprocessing.size
    layout = torch.contiguous_format if device.startswith("mps") else torch.channels_last
    drawn = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    model = fold(backbone.model, drawn.to(device)).to(dtype).to(memory_format=layout)
    forward = FromPixels(model, backbone.preprocessing, dtype, layout).to(device).eval()
    if dtype != torch.float32:
        wrong = f"{backbone.name} cannot compute in {execution_config['dtype']}", "--dtype fp32"
        _try(forward, backbone, 1, wrong)
    return forward


def _compiled(backbone: Backbone, execution_config: Mapping[str, Any]) -> Forward:
    """Compile that, with its normalisation, for one shape.

    Without CUDA graphs, which gain nothing: so each call's vectors are memory of their own.
    """
    import torch

    # float32 is to be float32: torch need not say that it could be less
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")
    forward: Forward = torch.compile(_folded_model(backbone, execution_config), dynamic=False)
    wrong = f"torch cannot compile {backbone.name} here", "--no-compile"
    _try(forward, backbone, execution_config["batch_size"], wrong)
    return forward


def _try(forward: Forward, backbone: Backbone, n: int, wrong: tuple[str, str]) -> None:
    """Refuse what does not go, before the first picture: what is wrong, and the way out."""
    import torch

    # made outside: an inference tensor is another kind of input, to be compiled for again
    pixels = _no_pictures(backbone, n)
    try:
        with torch.inference_mode():
            forward(pixels)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"{wrong[0]} ({in_one_line(error)}): use {wrong[1]}") from error


def _fused(backbone: Backbone, execution_config: Mapping[str, Any]) -> Forward:
    """Fuse the blocks of a ConvNeXt in kernels of our own, and launch all of them at once."""
    from extract.inference.cuda_graph import recorded
    from extract.inference.fused_convnext import fuse

    forward = fuse(backbone.model, backbone.preprocessing, torch_dtype(execution_config["dtype"]))
    return recorded(forward, _no_pictures(backbone, execution_config["batch_size"]))


def torch_dtype(name: str) -> torch.dtype:
    """Give torch's own name for one of :data:`DTYPES`."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def _no_pictures(backbone: Backbone, n: int) -> torch.Tensor:
    """Make pixels of the shape that is to come; uint8 (n, size, size, 3) on its device."""
    import torch

    size = backbone.preprocessing.size
    return torch.zeros(n, size, size, 3, dtype=torch.uint8, device=backbone.device)


def _openvino(backbone: Backbone, execution_config: Mapping[str, Any]) -> Forward:
    """Compute by OpenVINO, for tensors."""
    import torch

    forward = _by_openvino(backbone, execution_config)
    return lambda pixels: torch.from_numpy(forward(pixels.numpy()))


def _by_openvino(backbone: Backbone, execution_config: Mapping[str, Any]) -> HostForward:
    """Give OpenVINO the model as it is, which it folds by itself, or as it was exported."""
    from extract.inference.exporting import converted_model
    from extract.inference.openvino_runtime import forward_of_openvino

    keep_freed_memory()
    return forward_of_openvino(
        converted_model(backbone),
        batch_size=execution_config["batch_size"],
        threads=execution_config["threads"],
        dtype=execution_config["dtype"],
    )


RUNTIMES: dict[str, Callable[[Backbone, Mapping[str, Any]], Forward]] = {
    "eager": _eager,
    "folded": _folded,
    "compiled": _compiled,
    "fused": _fused,
    "openvino": _openvino,
}


def can_run(runtime: str | None) -> bool:
    """Say whether a runtime of a file's rows is one of ours, and can be had here."""
    needs = {"openvino": "openvino", "fused": "triton"}
    return runtime in RUNTIMES and (runtime not in needs or is_installed(needs[runtime]))


def choose_dtype(wanted: str, name: str, device: str, runtime: str = "auto") -> str:
    """Take the requested dtype; ``auto`` is the model's half on a GPU, and fp32 elsewhere.

    Parameters
    ----------
    wanted : str
        ``auto``, ``fp32``, ``bf16`` or ``fp16``.
    name : str
        Of the backbone.
    device : str
    runtime : str
        As typed: the reference is of fp32.

    Raises
    ------
    UsageError
        When there is no such kind, or it cannot be had there.
    """
    kind = device.split(":")[0]
    if wanted == "auto":
        half = BACKBONES[name].half if name in BACKBONES else "bf16"
        return half if kind == "cuda" and runtime != "eager" else "fp32"
    if wanted not in DTYPES:
        raise UsageError(f"no --dtype {wanted!r}: choose auto, {', '.join(DTYPES)}")
    if wanted == "fp16" and kind == "cpu":
        raise UsageError("fp16 is slower than fp32 on a CPU: use --dtype bf16 or fp32")
    return wanted


def choose_runtime(
    wanted: str, name: str, device: str, dtype: str, compiled: bool | None = None
) -> str:
    """Take the requested runtime; ``auto`` is the fastest that is here.

    Parameters
    ----------
    wanted : str
        ``auto``, ``eager``, ``torch``, ``fused`` or ``openvino``.
    name : str
        Of the backbone.
    device, dtype : str
    compiled : bool, optional
        Whether torch is to compile; of itself it does on a CUDA device.

    Returns
    -------
    str
        A name of :data:`RUNTIMES`.

    Raises
    ------
    UsageError
        When there is no such runtime, or it cannot be had there.
    """
    kind = device.split(":")[0]
    if wanted not in CHOICES:
        raise UsageError(f"no --runtime {wanted!r}: choose {', '.join(CHOICES)}")
    if compiled and (wanted in ("eager", "fused", "openvino") or kind != "cuda"):
        raise UsageError(
            "--compile is for --runtime torch on a CUDA device: leave it out, or use --device cuda"
        )
    if wanted == "eager" and dtype != "fp32":
        raise UsageError(
            f"--runtime eager is the reference, in fp32: use --runtime torch for {dtype}"
        )
    if wanted == "openvino":
        return _openvino_or_why_not(kind, dtype)
    if wanted == "fused":
        return _fused_or_why_not(kind, dtype)
    if wanted == "auto" and kind == "cpu":
        spec = BACKBONES.get(name)
        if spec and spec.openvino and is_installed("openvino"):
            return "openvino"
    if wanted == "eager":
        return "eager"
    if compiled and not is_installed("triton"):
        raise UsageError(
            "torch compiles for a GPU with triton, which is not here: leave out --compile"
        )
    if compiled is None:
        compiled = kind == "cuda" and is_installed("triton")
    return "compiled" if compiled else "folded"


def _fused_or_why_not(kind: str, dtype: str) -> str:
    if kind != "cuda" or dtype == "fp32":
        raise UsageError(
            "--runtime fused is of half precision on a CUDA device: use --device cuda --dtype bf16"
        )
    if not is_installed("triton"):
        raise UsageError("the fused kernels need triton, which is not here: use --runtime torch")
    return "fused"


def _openvino_or_why_not(kind: str, dtype: str) -> str:
    if kind != "cpu":
        raise UsageError(f"OpenVINO computes on the CPU here, not on {kind}: use --device cpu")
    if not is_installed("openvino"):
        raise UsageError(MISSING)
    if dtype == "fp16":
        raise UsageError("OpenVINO computes in fp32 or bf16 here: use --dtype bf16")
    return "openvino"
