"""OpenVINO, which computes convolutional models on a CPU faster than torch does; an extra."""

from __future__ import annotations

import ctypes
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.errors import UsageError, in_one_line

if TYPE_CHECKING:
    import torch

MISSING = 'OpenVINO is not installed: pip install "sosie[fast]"'
REPORTS = "openvino_telemetry"
SIGNAL_STACK_BYTES = 64
"""Enough for what a system says of the stack on which signals are handled."""

PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


def convert(model: torch.nn.Module, name: str, size: int) -> Any:
    """Convert a model of torch to one of OpenVINO.

    Parameters
    ----------
    model : torch.nn.Module
        uint8 (1, size, size, 3) in, float32 (1, n_dims) out.
    name : str
        For people.
    size : int

    Raises
    ------
    UsageError
        When OpenVINO cannot take the model.
    """
    import torch

    with _without_reports():
        import openvino  # type: ignore[import-untyped, import-not-found, unused-ignore]

        torch.set_num_threads(1)  # more of them make the tracing of a model three times as long
        sample = torch.zeros(1, size, size, 3, dtype=torch.uint8)
        try:
            converted = openvino.convert_model(
                model, example_input=sample, input=list(sample.shape)
            )
        except Exception as error:
            raise UsageError(
                f"OpenVINO cannot take {name} ({in_one_line(error)}): use --runtime torch"
            ) from error
    return converted


def as_bytes(converted: Any) -> tuple[bytes, bytes]:
    """Give a converted model's graph, in XML, and its tensors."""
    with _without_reports(), tempfile.TemporaryDirectory() as folder:
        import openvino

        graph, tensors = Path(folder, "model.xml"), Path(folder, "model.bin")
        openvino.serialize(converted, graph, tensors)
        return graph.read_bytes(), tensors.read_bytes()


def from_bytes(graph: bytes, tensors: bytes) -> Any:
    """Read the converted model that :func:`as_bytes` gave."""
    with _without_reports():
        import openvino

        return openvino.Core().read_model(graph, tensors)


def forward_of_openvino(
    converted: Any, *, batch_size: int, threads: int, dtype: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Compile a converted model, and forward a batch as pictures side by side, a thread each.

    A picture at a time needs the fewest caches and so the least time; and its vector cannot depend
    on its companions, on the batch size, or on the threads while there are no more of them than
    pictures.

    Parameters
    ----------
    converted : openvino.Model
    batch_size, threads : int
    dtype : str
        ``fp32`` or ``bf16``.

    Returns
    -------
    callable
        uint8 (n, size, size, 3) of at most ``batch_size`` pictures -> float32 (n, n_dims).
    """
    with _without_reports():
        import openvino
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": min(threads, batch_size),
        "INFERENCE_NUM_THREADS": threads,
        # the cores are also those of the decoders
        "ENABLE_CPU_PINNING": False,
    }
    with _own_signal_stack():
        compiled = openvino.Core().compile_model(converted, "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(batch_size)]

    def forward(pixels: np.ndarray) -> np.ndarray:
        if len(pixels) > len(requests):
            raise ValueError(f"made for {len(requests)} pictures at most, got {len(pixels)}")
        places = np.ascontiguousarray(pixels)
        requested = requests[: len(pixels)]
        for i, request in enumerate(requested):
            request.start_async([places[i : i + 1]], share_inputs=True)
        return np.concatenate([_answer(request) for request in requested])

    return forward


def _answer(request: Any) -> np.ndarray:
    """Wait for one picture's vector; a view, of memory that the next call writes again."""
    request.wait()
    vector: np.ndarray = request.get_output_tensor(0).data
    return vector


@contextmanager
def _own_signal_stack() -> Iterator[None]:
    """Leave this thread the stack on which signals are handled.

    OpenVINO sets another, and takes its memory back when the model is freed, by whatever thread:
    the next signal, a Ctrl-C in a notebook, would end the process.
    """
    libc, before = ctypes.CDLL(None), ctypes.create_string_buffer(SIGNAL_STACK_BYTES)
    libc.sigaltstack(None, before)
    try:
        yield
    finally:
        libc.sigaltstack(before, None)


@contextmanager
def _without_reports() -> Iterator[None]:
    """Keep OpenVINO from reporting its use to its maker, and its conversion's warnings unseen.

    It reports unless a file in the home folder says no, or the package that does it is not there:
    so that is not there while OpenVINO is loaded and converts.
    """
    absent = object()
    before = sys.modules.get(REPORTS, absent)
    sys.modules[REPORTS] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is absent:
            del sys.modules[REPORTS]
        else:
            sys.modules[REPORTS] = before  # type: ignore[assignment]
