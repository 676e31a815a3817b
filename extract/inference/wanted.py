"""How a user wants rows computed, as Python and the command line give it: nothing heavy is loaded.

What becomes of it is decided in :mod:`extract.inference.execution_config`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from extract.command_line import typed_count


@dataclass(frozen=True)
class ExecutionOptions:
    """How a user wants rows computed; what is None or ``auto`` is chosen.

    The help of each option says what it is; ``threads`` are those of torch on a CPU.
    """

    batch_size: Annotated[
        int | None,
        typer.Option(metavar="auto|N", help="auto: the file's, or as memory allows."),
        typed_count("--batch-size"),
    ] = None
    threads: int | None = None
    decoder: Annotated[
        Literal["auto", "reference", "light", "fast", "scaled", "gpu"],
        typer.Option(
            help="auto: gpu, which shares the pictures with the cores, fast, or light, the one "
            "that needs no torch; scaled reads large JPEGs at a fraction of their size."
        ),
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="auto: fp32 on a CPU, on a GPU the half precision that suits the model."),
    ] = "auto"
    runtime: Annotated[
        Literal["auto", "eager", "torch", "fused", "openvino"],
        typer.Option(
            help="Runtime: eager is the reference, torch the same made fast, fused is ConvNeXt "
            "in kernels of its own on a GPU."
        ),
    ] = "auto"
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Compile the model with torch first. Default: on a GPU, for many pictures.",
        ),
    ] = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if type(value) is int and value < 1:
                raise ValueError(f"{name} must be 1 or more, got {value}")
