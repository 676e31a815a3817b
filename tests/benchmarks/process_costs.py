"""What a piece of work costs its process and the children of it: CPU, time, memory."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FOR_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
NOT_SET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""What would change the kernels of one library and not of another."""


@dataclass
class Cost:
    """What some work took.

    Parameters
    ----------
    cpu, wall : float
        Seconds; of all threads, and of children that have ended.
    """

    cpu: float = 0.0
    wall: float = 0.0


class Clock:
    """Seconds of CPU and of the clock since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = cpu_seconds(), time.perf_counter()

    def cost(self) -> Cost:
        """Say what was spent until now."""
        return Cost(cpu_seconds() - self._cpu, time.perf_counter() - self._wall)


def cpu_seconds() -> float:
    """Seconds of CPU that this process and its ended children have had."""
    spent = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


@contextmanager
def costing() -> Iterator[Cost]:
    """Fill in what the block under it took."""
    cost, clock = Cost(), Clock()
    yield cost
    spent = clock.cost()
    cost.cpu, cost.wall = spent.cpu, spent.wall


def forget_peak() -> None:
    """Give back what was freed and let the peak be what is held now, where the system can.

    A run makes glibc keep freed memory: that of one path would stand in the peak of the next.
    """
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # another allocator has no such call
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes() -> int:
    """Give the most memory that this process held at once, in bytes."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    if found is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(found[1]) * 1024


def begin_again_on_one_thread() -> None:
    """Start this command anew where libraries would take threads or kernels of their own choice."""
    wrong = [name for name in NOT_SET if name in os.environ]
    if os.environ.get("OMP_NUM_THREADS") == "1" and not wrong:
        return
    kept = {name: value for name, value in os.environ.items() if name not in NOT_SET}
    print(
        f"began again with {', '.join(f'{k}={v}' for k, v in FOR_ONE_THREAD.items())} and "
        f"{', '.join(NOT_SET)} not set",
        flush=True,
    )
    words = [sys.executable, "-m", "tests.benchmarks", *sys.argv[1:]]
    os.execve(sys.executable, words, {**kept, **FOR_ONE_THREAD})


def processor_in_words() -> str:
    """Name this machine's processor, how many cores may be used, and what makes it fast."""
    from extract.inference.execution_config import usable_cores
    from extract.machine.processor import this_processor

    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        text = ""
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    flags = this_processor().flags
    told = {
        "avx2": "avx2" in flags,
        "avx512": "avx512f" in flags,
        "avx512_bf16": "avx512_bf16" in flags,
        "amx": any(flag.startswith("amx") for flag in flags),
    }
    has = ", ".join(f"{'' if has else 'no '}{what}" for what, has in told.items())
    return f"{name[1] if name else 'unknown processor'}, {usable_cores()} cores, {has}"
