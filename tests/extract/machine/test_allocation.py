"""Memory that is freed is kept where the allocator is glibc's, and nothing happens elsewhere."""

from __future__ import annotations

import ctypes
import platform
import resource
import subprocess
import sys

import pytest

from extract.machine.allocation import keep_freed_memory

GLIBC = platform.libc_ver()[0] == "glibc"
AGAIN_AND_AGAIN = """
import resource, sys
from extract.machine.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(50):
    block = bytearray(40 << 20)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(word: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", AGAIN_AND_AGAIN, word], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="another allocator")
def test_a_block_taken_again_costs_no_page_fault() -> None:
    pages = (40 << 20) // resource.getpagesize()
    assert page_faults("leave") > 40 * pages
    assert page_faults("keep") < 5 * pages


def test_an_allocator_without_that_option_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert keep_freed_memory.__wrapped__() is False
