"""What is done about a processor's traps is done only on that processor, and taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from extract.machine import processor
from extract.machine.processor import (
    CpuInfo,
    fast_float32_products,
    kernels_of_openblas,
    read_processor,
    this_processor,
)

WIDE = frozenset({"avx2", "avx512f"})
TRAPPED = CpuInfo("AuthenticAMD", WIDE)
OTHERS = {
    "narrow": CpuInfo("AuthenticAMD", frozenset({"avx2"})),
    "intel": CpuInfo("GenuineIntel", WIDE),
    "nothing known": CpuInfo(),
}
TILES = CpuInfo("AuthenticAMD", WIDE | {"amx_bf16"})

CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
flags\t\t: fpu avx2 avx512f avx512_bf16
bugs\t\t: sysret_ss_attrs

processor\t: 1
vendor_id\t: GenuineIntel
flags\t\t: fpu amx_tile
"""
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd bf16\n"


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)

    def take(here: CpuInfo) -> None:
        monkeypatch.setattr(processor, "this_processor", lambda: here)

    return take


def test_the_first_processor_is_read() -> None:
    read = read_processor(CPUINFO)
    assert read == CpuInfo("AuthenticAMD", frozenset("fpu avx2 avx512f avx512_bf16".split()))
    assert read.is_wide_amd
    assert not read.has_tiles
    assert read_processor(ARM) == read_processor("") == CpuInfo()


def test_a_system_that_says_nothing_has_no_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    assert this_processor.__wrapped__() == CpuInfo()


def test_fast_products_are_only_for_the_processor_that_needs_them(on) -> None:
    on(TRAPPED)
    with fast_float32_products():
        assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == "highest"
    for other in (*OTHERS.values(), TILES):
        on(other)
        with fast_float32_products():
            assert torch.get_float32_matmul_precision() == "highest"


def test_fast_products_round_as_float32_does() -> None:
    """Bf16 would be off by a thousand times as much."""
    one, two = torch.randn(2, 512, 512, generator=torch.Generator().manual_seed(0))
    exact = one.double() @ two.double()
    with fast_float32_products():
        off = ((one @ two).double() - exact).norm() / exact.norm()
    assert off < 1e-6


def test_kernels_are_named_for_what_is_loaded_inside_and_no_longer(
    on, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(TRAPPED)
    with kernels_of_openblas():
        assert processor.os.environ["OPENBLAS_CORETYPE"] == "SkylakeX"
    assert "OPENBLAS_CORETYPE" not in processor.os.environ
    for other in OTHERS.values():
        on(other)
        with kernels_of_openblas():
            assert "OPENBLAS_CORETYPE" not in processor.os.environ
    on(TRAPPED)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    with kernels_of_openblas():
        assert processor.os.environ["OPENBLAS_CORETYPE"] == "Haswell"
    assert processor.os.environ["OPENBLAS_CORETYPE"] == "Haswell"


LOADED = """
import os
import threadpoolctl
from analyze.neighbors.indexes.exact_search import load_faiss
load_faiss()
assert "OPENBLAS_CORETYPE" not in os.environ
kernels = {
    os.path.basename(library["filepath"]): library["architecture"]
    for library in threadpoolctl.threadpool_info() if library["internal_api"] == "openblas"
    and "faiss" in library["filepath"]
}
print(*kernels.values())
"""


@pytest.mark.skipif(not this_processor().is_wide_amd, reason="a processor that is not mistaken")
def test_faiss_takes_the_kernels_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["SkylakeX"]


def test_faiss_is_loaded_in_one_place_only() -> None:
    import analyze

    package = Path(analyze.__file__).parent
    users = [p.name for p in package.rglob("*.py") if "import faiss" in p.read_text()]
    assert users == ["exact_search.py"]
