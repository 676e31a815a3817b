"""Every runtime gives the reference's vectors, row by row, and each choice says why not."""

from __future__ import annotations

import ctypes
import gc
import random
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_catalogs import need_openvino, offline_environment, tiny_backbone

from extract.backbones.registry import BACKBONES, Backbone, load_backbone
from extract.catalog.demo import KINDS, draw_picture
from extract.errors import UsageError
from extract.inference import runtimes
from extract.inference.forward_pass import ForwardPass
from extract.inference.normalizing import exact_normalisation
from extract.inference.runtimes import RUNTIMES, choose_dtype, choose_runtime, prepared
from extract.machine import processor
from extract.machine.processor import CpuInfo
from tests.faults.warm_server import WarmServer

pytestmark = pytest.mark.slow

B, SIDE = 4, 96
FAST = ("folded", "openvino")


@pytest.fixture(scope="module")
def lite() -> Backbone:
    """Real weights, on pictures small enough for a test."""
    backbone = load_backbone("efficientnet_lite0")
    return replace(backbone, preprocessing=replace(backbone.preprocessing, size=SIDE))


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    kinds = list(KINDS)
    return [draw_picture(kinds[i % len(kinds)], random.Random(i)) for i in range(2 * B)]


@pytest.fixture(scope="module")
def pixels(lite: Backbone, drawn: list[Image.Image]) -> torch.Tensor:
    placed = [lite.preprocessing.placed(picture) for picture in drawn]
    return torch.from_numpy(np.stack(placed))


@pytest.fixture(scope="module")
def reference(lite: Backbone, drawn: list[Image.Image]) -> np.ndarray:
    """What the model's own transform and its own forward pass give."""
    transform = lite.preprocessing.transform()
    seen = torch.stack([transform(picture) for picture in drawn])
    return np.concatenate([lite.embed(seen[:B]), lite.embed(seen[B:])])


def execution_config(runtime: str, **changed: Any) -> dict[str, Any]:
    plain = {"runtime": runtime, "dtype": "fp32", "batch_size": B, "threads": 1}
    return {**plain, **changed}


def made(backbone: Backbone, runtime: str, **changed: Any) -> runtimes.Forward:
    if runtime == "openvino":
        need_openvino()
    return prepared(backbone, execution_config(runtime, **changed))


made_of_lite = cache(made)  # conversion takes seconds


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_eager_gives_the_references_bits(
    lite: Backbone, pixels: torch.Tensor, reference: np.ndarray
) -> None:
    forward = made_of_lite(lite, "eager")
    found = np.concatenate([forward(batch).numpy() for batch in pixels.split(B)])
    assert found.tobytes() == reference.tobytes()


@pytest.mark.parametrize("name", BACKBONES)
def test_exact_normalisation_is_timms_to_the_bit(name: str) -> None:
    """On each of the 256 levels of each channel, of each table entry's mean and deviation."""
    model = BACKBONES[name].model
    preprocessing = replace(model.preprocessing(), size=16, crop_pct=1.0)
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = preprocessing.transform()(Image.fromarray(levels))
    found = exact_normalisation(preprocessing, "cpu")(torch.from_numpy(levels)[None])[0]
    assert found.numpy().tobytes() == expected.numpy().tobytes()


@pytest.mark.parametrize("runtime", FAST)
def test_fast_runtimes_agree_with_the_reference(
    runtime: str, lite: Backbone, pixels: torch.Tensor, reference: np.ndarray
) -> None:
    forward = made_of_lite(lite, runtime)
    first, second = (forward(batch) for batch in pixels.split(B))
    assert first.dtype == torch.float32
    found = torch.cat([first, second]).numpy()
    assert found.shape == reference.shape
    assert cosines(found, reference).min() >= 0.99999
    assert np.abs(found - reference).max() < 1e-4 * np.abs(reference).max()
    assert forward(pixels[:B]).numpy().tobytes() == found[:B].tobytes()


@pytest.mark.parametrize("runtime", ["eager", *FAST])
def test_a_row_does_not_depend_on_its_companions(
    runtime: str, lite: Backbone, pixels: torch.Tensor
) -> None:
    forward = made_of_lite(lite, runtime)
    together = forward(pixels[:B])
    alone = torch.zeros_like(pixels[:B])
    alone[2] = pixels[2]
    assert forward(alone)[2].numpy().tobytes() == together[2].numpy().tobytes()
    elsewhere = forward(pixels[[2, 4, 5, 6]])[0]
    assert cosines(elsewhere.numpy()[None], together[2].numpy()[None]).item() >= 0.999999


def test_a_row_of_openvino_depends_on_nothing_but_its_picture() -> None:
    backbone, generator = tiny_backbone(), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (B, 32, 32, 3), dtype=torch.uint8, generator=generator)
    expected = made(backbone, "openvino")(pixels).numpy()
    single = made(backbone, "openvino", batch_size=1)
    alone = torch.cat([single(picture) for picture in pixels.split(1)]).numpy()
    assert alone.tobytes() == expected.tobytes()
    in_two = made(backbone, "openvino", threads=2)(pixels.flip(0)).flip(0).numpy()
    assert in_two.tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match="1 pictures at most, got 2"):
        single(pixels[:2])


@pytest.mark.parametrize("runtime", ["eager", *FAST])
def test_a_later_call_leaves_earlier_vectors_alone(
    runtime: str, lite: Backbone, pixels: torch.Tensor
) -> None:
    forward, buffer = made_of_lite(lite, runtime), pixels[:B].clone()
    first = forward(buffer)
    before = first.numpy().tobytes()
    buffer[:] = pixels[B:]
    assert forward(buffer).numpy().tobytes() != before
    assert first.numpy().tobytes() == before


@pytest.mark.parametrize("runtime", FAST)
def test_bf16_is_near_and_is_not_fp32(
    runtime: str, lite: Backbone, pixels: torch.Tensor, reference: np.ndarray
) -> None:
    found = made_of_lite(lite, runtime, dtype="bf16")(pixels[:B])
    assert found.dtype == torch.float32
    near = cosines(found.numpy(), reference[:B])
    assert near.min() > 0.98
    if runtime == "folded":  # OpenVINO takes bf16 only from processors that have it
        assert near.max() < 0.99999


@pytest.mark.parametrize(
    "runtime", sorted({*RUNTIMES} - {"fused"})
)  # test_fused, as no GPU is here
def test_the_backbone_is_left_as_it_is(runtime: str) -> None:
    backbone = tiny_backbone()
    before = {k: v.clone() for k, v in backbone.model.state_dict().items()}
    pixels = torch.randint(0, 256, (B, 32, 32, 3), dtype=torch.uint8)
    seen = exact_normalisation(backbone.preprocessing, "cpu")(pixels)
    rows = backbone.embed(seen)
    if runtime == "compiled":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
            found = made(backbone, runtime)(pixels).numpy()
    else:
        found = made(backbone, runtime)(pixels).numpy()
    np.testing.assert_allclose(found, rows, atol=1e-5)
    assert all(torch.equal(before[k], v) for k, v in backbone.model.state_dict().items())
    assert backbone.embed(seen).tobytes() == rows.tobytes()
    assert not torch.is_inference_mode_enabled()


def test_compiled_is_compiled_once_for_all_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a code generator, which is torch's own matter and takes long."""
    made_graphs = []

    def count(graph: Any, _: Any) -> Any:
        made_graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=count))
    torch._dynamo.reset()
    backbone = tiny_backbone()
    forward, folded = made(backbone, "compiled"), made(backbone, "folded")
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (B, 32, 32, 3), dtype=torch.uint8, generator=generator)
        torch.testing.assert_close(forward(pixels), folded(pixels))
        torch.set_float32_matmul_precision("medium")  # as some other part of a program may
    assert len(made_graphs) == 1
    uses = {node.target for node in made_graphs[0].graph.nodes}
    assert "permute" in uses, "the normalisation is part of what is compiled"


def test_one_picture_alone_is_recorded_and_what_cannot_be_is_computed_as_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, ...]] = []

    def refuse(_: Any, pixels: torch.Tensor) -> Any:
        asked.append(tuple(pixels.shape))
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr("extract.inference.cuda_graph.recorded", refuse)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    backbone, pixels = tiny_backbone(), torch.full((1, 32, 32, 3), 9, dtype=torch.uint8)
    many, compiled = made(backbone, "folded"), made(backbone, "compiled", batch_size=1)
    assert asked == []
    one = made(backbone, "folded", batch_size=1)
    assert asked == [(1, 32, 32, 3)]
    assert torch.equal(one(pixels), many(pixels))
    torch.testing.assert_close(compiled(pixels), one(pixels))


def test_what_cannot_be_compiled_is_said_before_the_first_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=fail))
    torch._dynamo.reset()
    with pytest.raises(UsageError, match=r"tiny here \(.*no compiler\): use --no-compile"):
        made(tiny_backbone(), "compiled")


def test_the_reference_computes_float32_exactly_and_the_fast_path_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = CpuInfo("AuthenticAMD", frozenset({"avx512f"}))
    monkeypatch.setattr(processor, "this_processor", lambda: wide)
    seen: list[str] = []

    class Asked(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_float32_matmul_precision())
            return pixels.mean(dim=(2, 3))

    backbone = replace(tiny_backbone(), network=Asked().eval())
    pixels = torch.zeros(B, 32, 32, 3, dtype=torch.uint8)
    for runtime, expected in (("eager", "highest"), ("folded", "medium")):
        forward = made(backbone, runtime)
        torch.set_float32_matmul_precision("medium")  # as some other part of a program may
        seen.clear()
        forward(pixels)
        assert seen == [expected]
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_cannot_compute_in_half_precision_is_said_before_the_first_picture() -> None:
    class Mixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 4)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.layer(pixels.mean(dim=(2, 3)).float())

    backbone = replace(tiny_backbone(), network=Mixed().eval())
    with pytest.raises(UsageError, match=r"tiny cannot compute in bf16 .*use --dtype fp32"):
        made(backbone, "folded", dtype="bf16")
    with pytest.raises(UsageError, match="use --runtime torch"):
        made(backbone, "eager", dtype="bf16")


def test_openvino_says_what_it_cannot_take() -> None:
    class Odd(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(pixels[:, 0, :4, :4]).abs()

    backbone = replace(tiny_backbone(), network=Odd().eval())
    with pytest.raises(UsageError, match=r"OpenVINO cannot take tiny \(.*use --runtime torch"):
        made(backbone, "openvino")


def test_openvino_leaves_the_stack_of_signals_alone() -> None:
    """It takes its own back by whatever thread: the next signal would end the process."""

    def stacks() -> list[bytes]:
        found = []
        for convert in (lambda: None, lambda: made(tiny_backbone(), "openvino", batch_size=1)):
            kept, stack = convert(), ctypes.create_string_buffer(64)
            ctypes.CDLL(None).sigaltstack(None, stack)
            found.append(stack.raw)
            del kept
        return found

    with ThreadPoolExecutor(1) as threads:  # which has none, where pytest has set one of its own
        before, after = threads.submit(stacks).result()
    assert after == before


def test_openvino_says_nothing_to_anyone(warm_server: WarmServer, tmp_path: Path) -> None:
    """No line, no file in the home folder, nothing over a network."""
    need_openvino()
    home = tmp_path / "home"
    home.mkdir()
    environment = {**offline_environment(tmp_path), "HOME": str(home), "CI": ""}
    words = ("tests.silent_openvino",)
    process = warm_server.start(words, tmp_path / "said", tmp_path, environment)
    assert (process.wait(), process.said) == (0, "")
    assert not list(home.iterdir())


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch):
    """Say which packages are installed."""

    def say(*packages: str) -> None:
        monkeypatch.setattr(runtimes, "is_installed", lambda package: package in packages)

    return say


@pytest.mark.parametrize(
    ("wanted", "name", "device", "dtype", "compiled", "expected"),
    [
        ("auto", "efficientnet_lite0", "cpu", "fp32", None, "openvino"),
        ("auto", "efficientnet_lite0", "cpu", "fp32", False, "openvino"),
        ("auto", "efficientnet_lite0", "cuda:1", "fp16", None, "compiled"),
        ("auto", "efficientnet_lite0", "cuda", "fp16", False, "folded"),
        ("auto", "efficientnet_lite0", "mps", "fp32", None, "folded"),
        ("auto", "cvt_13", "cpu", "bf16", None, "openvino"),
        ("auto", "convnext_base", "cpu", "fp32", None, "folded"),
        ("auto", "timm:resnet18", "cpu", "fp32", None, "folded"),
        ("auto", "timm:resnet18", "cuda", "bf16", None, "compiled"),
        ("torch", "efficientnet_lite0", "cpu", "fp32", None, "folded"),
        ("torch", "efficientnet_lite0", "cpu", "bf16", None, "folded"),
        ("torch", "cvt_13", "cuda", "fp32", None, "compiled"),
        ("torch", "cvt_13", "cuda", "bf16", True, "compiled"),
        ("torch", "cvt_13", "cuda", "bf16", False, "folded"),
        ("eager", "efficientnet_lite0", "cpu", "fp32", None, "eager"),
        ("eager", "efficientnet_lite0", "cuda", "fp32", False, "eager"),
        ("openvino", "hf:acme/x", "cpu", "bf16", None, "openvino"),
    ],
)
def test_runtimes_are_chosen(
    here, wanted: str, name: str, device: str, dtype: str, compiled: bool | None, expected: str
) -> None:
    here("openvino", "triton")
    assert choose_runtime(wanted, name, device, dtype, compiled) == expected
    assert expected in RUNTIMES


def test_without_the_packages_torch_computes_alone(here) -> None:
    here()
    assert choose_runtime("auto", "efficientnet_lite0", "cpu", "fp32") == "folded"
    assert choose_runtime("auto", "efficientnet_lite0", "cuda", "fp16") == "folded"
    with pytest.raises(UsageError, match=r'pip install "sosie\[fast\]"'):
        choose_runtime("openvino", "efficientnet_lite0", "cpu", "fp32")
    with pytest.raises(UsageError, match="triton, which is not here"):
        choose_runtime("torch", "efficientnet_lite0", "cuda", "fp16", compiled=True)


@pytest.mark.parametrize(
    ("wanted", "device", "dtype", "compiled", "said"),
    [
        ("fast", "cpu", "fp32", None, "choose auto, eager, torch, fused, openvino"),
        ("openvino", "cuda", "fp32", None, "use --device cpu"),
        ("openvino", "cpu", "fp16", None, "use --dtype bf16"),
        ("eager", "cuda", "bf16", None, "use --runtime torch for bf16"),
        ("eager", "cuda", "fp32", True, "--compile is for --runtime torch"),
        ("fused", "cuda", "bf16", True, "--compile is for --runtime torch"),
        ("openvino", "cpu", "fp32", True, "--compile is for --runtime torch"),
        ("auto", "cpu", "fp32", True, "on a CUDA device"),
        ("torch", "mps", "fp32", True, "on a CUDA device"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(
    here, wanted: str, device: str, dtype: str, compiled: bool | None, said: str
) -> None:
    here("openvino", "triton")
    with pytest.raises(UsageError, match=said):
        choose_runtime(wanted, "efficientnet_lite0", device, dtype, compiled)


def test_dtypes_are_chosen() -> None:
    assert choose_dtype("auto", "efficientnet_lite0", "cuda:0") == "fp16"
    assert choose_dtype("auto", "efficientnet_b3", "cuda") == "fp16"
    assert choose_dtype("auto", "convnext_base", "cuda") == "bf16"
    assert choose_dtype("auto", "timm:resnet18", "cuda") == "bf16"
    assert choose_dtype("auto", "efficientnet_lite0", "cuda", "eager") == "fp32"
    assert choose_dtype("auto", "convnext_base", "cpu") == "fp32"
    assert choose_dtype("auto", "convnext_base", "mps") == "fp32"
    assert choose_dtype("bf16", "convnext_base", "cpu") == "bf16"
    assert choose_dtype("fp16", "convnext_base", "cuda") == "fp16"
    with pytest.raises(UsageError, match="choose auto, fp32, bf16, fp16"):
        choose_dtype("int8", "convnext_base", "cpu")
    with pytest.raises(UsageError, match="use --dtype bf16 or fp32"):
        choose_dtype("fp16", "convnext_base", "cpu")


def test_a_forward_pass_is_gone_with_its_run_not_when_garbage_is_collected() -> None:
    """What it holds of a device would else be let go in processes forked since, which abort."""
    gc.disable()
    try:
        forward = ForwardPass(tiny_backbone(), execution_config("eager"))
        gone = weakref.ref(forward)
        del forward
        assert gone() is None
    finally:
        gc.enable()
