"""What the path of the GPU decodes, and what it leaves; the same libraries run it on a CPU."""

from __future__ import annotations

import io
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from extract.errors import UsageError
from extract.images import gpu_decoding, jpeg_engine
from extract.images.gpu_decoding import ENGINE, decode_on_gpu, gpu_decoder, has_engine
from extract.transforms import fused_resize
from extract.transforms.fused_resize import StoredPicture
from extract.transforms.preprocessing import RESIZES, Preprocessing

HALF = (0.5, 0.5, 0.5)
WANTED = Preprocessing(56, "crop", 0.875, "bicubic", HALF, HALF)
CPU = torch.device("cpu")


def jpeg(width: int, height: int, kind: str = "JPEG", **options: object) -> bytes:
    rng = np.random.default_rng([width, height])
    coarse = rng.integers(0, 256, (height // 6, width // 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def reference(content: bytes, wanted: Preprocessing = WANTED) -> np.ndarray:
    return wanted.placed(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


@pytest.fixture(autouse=True)
def by_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        gpu_decoding, "DECODERS", {"torchvision": gpu_decoding.DECODERS["torchvision"]}
    )
    gpu_decoder.cache_clear()


@pytest.mark.parametrize("resize", RESIZES)
def test_pixels_are_the_references_in_the_order_given(resize: str) -> None:
    wanted = WANTED.resized(resize)
    contents = [
        jpeg(120, 90),
        jpeg(90, 120, subsampling="4:4:4"),
        jpeg(121, 301, subsampling="4:2:2"),
        jpeg(500, 375, quality=92),
        jpeg(60, 60),
        jpeg(300, 33),
        jpeg(24, 25),
    ]
    pixels, left_out = decode_on_gpu(contents, wanted, CPU)
    assert left_out == []
    assert pixels.dtype == torch.uint8
    for got, content in zip(pixels.numpy().astype(int), contents, strict=True):
        assert np.abs(got - reference(content, wanted)).max() <= 2
    tensors = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in contents]
    again, _ = decode_on_gpu(tensors, wanted, CPU)
    assert torch.equal(again, pixels)


def test_what_is_no_plain_jpeg_is_left_out_and_the_others_keep_their_places() -> None:
    good = jpeg(120, 90)
    contents = [b"", good, jpeg(80, 80, "PNG"), jpeg(80, 80, progressive=True), good, good[:-9]]
    pixels, left_out = decode_on_gpu(contents, WANTED, CPU)
    assert left_out == [0, 2, 3, 5]
    assert not pixels[left_out].any()
    for place in (1, 4):
        assert np.abs(pixels[place].numpy().astype(int) - reference(good)).max() <= 2
    pixels, left_out = decode_on_gpu([b"", b"no picture"], WANTED, CPU)
    assert left_out == [0, 1]
    assert pixels.shape == (2, 56, 56, 3)
    assert decode_on_gpu([], WANTED, CPU)[0].shape == (0, 56, 56, 3)


def test_pictures_that_break_the_decoder_cost_no_others() -> None:
    """The header of each parses; the Huffman table of some is beyond any decoder."""
    good = jpeg(120, 90)
    table = good.index(b"\xff\xc4") + 5
    bad = good[:table] + b"\xff" * 16 + good[table + 16 :]
    contents = [bad if i in (2, 3, 9) else good for i in range(11)]
    pixels, left_out = decode_on_gpu(contents, WANTED, CPU)
    assert left_out == [2, 3, 9]
    assert torch.equal(pixels[0], pixels[10])
    assert pixels[10].any()


def test_a_fault_of_the_device_is_not_taken_for_the_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def out_of_memory(*_: object) -> list[torch.Tensor]:
        raise torch.OutOfMemoryError("none left")

    monkeypatch.setitem(gpu_decoding.DECODERS, "torchvision", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        decode_on_gpu([jpeg(120, 90)] * 2, WANTED, CPU, decoder="torchvision")


def test_a_filter_that_has_no_matrix_is_left_to_the_reference() -> None:
    wanted = Preprocessing(56, "pad", 1.0, "lanczos", HALF, HALF)
    _, left_out = decode_on_gpu([jpeg(120, 90)] * 3, wanted, CPU)
    assert left_out == [0, 1, 2]


def test_the_first_library_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> list[torch.Tensor]:
        raise ImportError("not installed")

    works = gpu_decoding.DECODERS["torchvision"]
    monkeypatch.setattr(gpu_decoding, "DECODERS", {"torchcodec": missing, "torchvision": works})
    assert gpu_decoder(CPU) == "torchvision"
    monkeypatch.setattr(gpu_decoding, "DECODERS", {"torchcodec": missing})
    gpu_decoder.cache_clear()
    with pytest.raises(UsageError, match="pip install torchcodec"):
        gpu_decoder(CPU)


REFUSED, OTHER = jpeg(70, 80), jpeg(100, 80)
"""What a stand-in of the engine does not take, and what it gives in another size."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand for a GPU's engine, and for what resizes behind it: Pillow; how many it was given."""
    given: list[int] = []

    def decode(encoded: list[torch.Tensor], _: torch.device) -> list[StoredPicture | None]:
        given.append(len(encoded))
        return [stored(each.numpy().tobytes()) for each in encoded]

    def stored(content: bytes) -> StoredPicture | None:
        if content == REFUSED:
            return None
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        return StoredPicture(0, picture.height - (content == OTHER), picture.width, picture)

    def resize(pictures: list[Any], wanted: Preprocessing, _: torch.device) -> torch.Tensor:
        return torch.from_numpy(np.stack([wanted.placed(each.owner) for each in pictures]))

    monkeypatch.setattr(jpeg_engine, "decode_by_engine", decode)
    monkeypatch.setattr(fused_resize, "resize_stored", resize)
    monkeypatch.setattr(torch.cuda, "current_stream", mock.MagicMock())
    monkeypatch.setitem(gpu_decoding.DECODERS, ENGINE, gpu_decoding._by_engine)
    return given


def test_what_the_engine_takes_keeps_its_place_and_the_rest_is_left_out(
    engine: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [(120, 90), (90, 120), (64, 64), (300, 33)]
    contents = [jpeg(*size) for size in sizes]
    contents[2:2] = [REFUSED, jpeg(80, 80, progressive=True), OTHER]
    for most, parts in ((1 << 30, [6]), (3 * 120 * 90 * 2, [2, 3, 1])):
        monkeypatch.setattr(gpu_decoding, "MOST_DECODED", most)
        engine.clear()
        pixels, left_out = decode_on_gpu(contents, WANTED, CPU, ENGINE)
        assert left_out == [2, 3, 4]
        assert engine == parts
        for place, content in enumerate(contents):
            expected = 0 if place in left_out else reference(content)
            assert (pixels[place].numpy() == expected).all()
    pixels, left_out = decode_on_gpu([REFUSED], WANTED, CPU, ENGINE)
    assert left_out == [0]
    assert not pixels.any()
    monkeypatch.setattr(jpeg_engine, "decode_by_engine", mock.Mock(side_effect=RuntimeError))
    assert decode_on_gpu(contents, WANTED, CPU, ENGINE)[1] == list(range(7))


def test_an_engine_that_is_not_there_or_gives_other_pixels_is_not_taken(
    engine: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    has_engine.cache_clear()
    assert has_engine(CPU)
    assert engine == [1]
    has_engine.cache_clear()
    monkeypatch.setattr(
        fused_resize, "resize_stored", lambda *_: torch.zeros((1, 24, 24, 3), dtype=torch.uint8)
    )
    assert not has_engine(CPU)
    has_engine.cache_clear()
    monkeypatch.undo()
    assert not has_engine(CPU)
    has_engine.cache_clear()
