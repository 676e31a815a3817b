"""What this machine's processor has, and its traps: each a line or three, with the reason."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
AMD_GPUS = Path("/dev/kfd")
AMD = "AuthenticAMD"
CU_CTX_SCHED_BLOCKING_SYNC = 4


@dataclass(frozen=True)
class CpuInfo:
    """A processor as the system describes it.

    Parameters
    ----------
    vendor : str
        As it calls itself; empty where it is not known.
    flags : frozenset of str
        As Linux spells them; empty where it is not known.
    """

    vendor: str = ""
    flags: frozenset[str] = frozenset()

    @property
    def is_wide_amd(self) -> bool:
        """AMD's with AVX512: what older libraries of numbers take for something lesser."""
        return self.vendor == AMD and "avx512f" in self.flags

    @property
    def has_tiles(self) -> bool:
        """Whether it has AMX, which multiplies matrices in bf16 where that is allowed."""
        return any(flag.startswith("amx") for flag in self.flags)


def read_processor(text: str) -> CpuInfo:
    """Read the first processor of a ``/proc/cpuinfo``."""
    fields = dict(
        re.findall(r"^(vendor_id|flags)[ \t]*:[ \t]*(.*)$", text.partition("\n\n")[0], re.M)
    )
    return CpuInfo(fields.get("vendor_id", ""), frozenset(fields.get("flags", "").split()))


@cache
def this_processor() -> CpuInfo:
    """Read this machine's processor; nothing is known of it off Linux."""
    try:
        return read_processor(CPUINFO.read_text(errors="replace"))
    except OSError:
        return CpuInfo()


@contextmanager
def fast_float32_products() -> Iterator[None]:
    """Let torch multiply float32 matrices on the CPU with oneDNN, where MKL is slow.

    MKL takes a slow path on a processor that is not Intel's. ``medium`` is torch's only setting
    for oneDNN, and elsewhere it means real bf16: with AMX, on ARM, on a GPU. So it is set only on
    AMD's AVX512 without AMX, and products are exact again after it, as a run wants them.
    """
    import torch

    here = this_processor()
    if not here.is_wide_amd or here.has_tiles:
        yield
        return
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextmanager
def kernels_of_openblas() -> Iterator[None]:
    """Name the kernels that an OpenBLAS loaded inside is to take, where it would guess wrong.

    The one in FAISS's wheel is of 2021 and takes AMD's newer processors for a Barcelona of 2007,
    without AVX. What the user has set stands, and libraries loaded later choose for themselves.
    """
    if not this_processor().is_wide_amd or "OPENBLAS_CORETYPE" in os.environ:
        yield
        return
    os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"
    try:
        yield
    finally:
        del os.environ["OPENBLAS_CORETYPE"]


def may_have_gpu() -> bool:
    """Whether torch might find a GPU here, found out without loading torch.

    A driver of NVIDIA's or AMD's, or a Mac; only torch knows whether it can be used.
    """
    import ctypes

    if sys.platform == "darwin" or AMD_GPUS.exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def sleep_while_gpu_works(device: str) -> None:
    """Let threads that wait for a GPU sleep; CUDA has them spin, on cores that decoders need.

    It is the device's own setting, so libraries that wait by themselves keep to it too. Set before
    the device is first used; where it cannot be set, waiting only costs a core.
    """
    import ctypes

    number = int(device.partition(":")[2] or 0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        driver.cuInit(0)
        driver.cuDevicePrimaryCtxSetFlags_v2(number, CU_CTX_SCHED_BLOCKING_SYNC)
    except (OSError, AttributeError):
        return
