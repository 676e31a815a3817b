"""HEIC: read where a library is installed, named where none is, bounded in any case."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from every_decoder import SEEN, pixels
from heif_files import HEIC, box, decoder, heif, size
from icc_profiles import gray_profile, srgb_of_gray, srgb_of_rgb
from PIL import Image

from extract.catalog.catalog import list_folder
from extract.formats import extra_formats
from extract.images.decoders import prepare_picture
from extract.images.decoding import READING, decode_picture
from extract.refusals import Reason, Refused

RAMP = np.linspace(20, 235, 32).round().astype(np.uint8)
COLORS = np.stack(np.broadcast_arrays(RAMP[None], RAMP[::-1, None], np.uint8(70)), -1).astype(
    np.uint8
)


def of_brand(brand: bytes, content: bytes = HEIC) -> bytes:
    return content[:8] + brand + content[12:]


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        decode_picture(content)
    assert "\n" not in refused.value.message
    return refused.value


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_heic_of_every_brand_is_read_in_its_own_colors(brand: bytes) -> None:
    pytest.importorskip("pi_heif")
    assert np.abs(pixels(of_brand(brand)) - srgb_of_rgb(COLORS)).mean() < 3


class Torchcodec:
    """Stands for torchcodec: gives some planes, or the error that it has."""

    def __init__(self, planes: np.ndarray, error: Exception | None = None) -> None:
        self.planes, self.error = planes, error

    def decode_heic(self, _: bytes, mode: str) -> torch.Tensor:
        assert mode == "UNCHANGED"
        if self.error:
            raise self.error
        return torch.from_numpy(self.planes)


def install(patch: pytest.MonkeyPatch, **libraries: object) -> None:
    """Let these libraries alone be installed."""
    names = {"torchcodec": "torchcodec.decoders"}
    found = {names.get(name, name): library for name, library in libraries.items()}
    patch.setattr(extra_formats, "_installed", found.get)


def reader(content: bytes) -> str:
    """Say what reads a picture."""
    reading = prepare_picture(content, (SEEN,), "reference").reading
    assert reading is not None
    assert reading.startswith(READING)
    return reading.removeprefix(f"{READING}; ")


def test_heic_is_read_by_torchcodec_first_and_recorded_so(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = np.ascontiguousarray(COLORS.transpose(2, 0, 1))
    install(monkeypatch, torchcodec=Torchcodec(planes), pi_heif=None)
    assert np.abs(pixels(HEIC) - srgb_of_rgb(COLORS)).max() <= 2
    assert reader(HEIC) == "HEIC by torchcodec"
    clear = np.concatenate([planes, np.zeros((1, 32, 32), np.uint8)])
    install(monkeypatch, torchcodec=Torchcodec(clear))
    assert (pixels(HEIC) == 255).all()


def test_gray_heic_is_read_by_its_gray_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    icc = box(b"colr", b"prof", gray_profile(1.0))
    content = heif(size(32, 32), decoder(32, 32, chroma=0), icc)
    gray = COLORS[..., 0]
    for alpha in ((), (np.full((32, 32), 255, np.uint8),)):
        install(monkeypatch, torchcodec=Torchcodec(np.stack([gray, gray, gray, *alpha])))
        assert np.abs(pixels(content) - srgb_of_gray(gray, 1.0)).max() <= 1


def test_pi_heif_reads_what_torchcodec_is_not_told_enough_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Several pictures, colors that hold their alpha; and all where no libheif is found."""

    def no_call(_: bytes, **__: object) -> None:
        pytest.fail("was asked")

    def opened(_: object) -> Image.Image:
        return Image.fromarray(COLORS)

    plain = size(32, 32), decoder(32, 32)
    several = heif(*plain, kinds=(b"hvc1", b"hvc1"))
    held = heif(*plain, kinds=(b"hvc1", b"hvc1"), references=[(b"auxl", 2, 1), (b"prem", 1, 2)])
    pi_heif = SimpleNamespace(HeifImageFile=opened)
    install(monkeypatch, torchcodec=SimpleNamespace(decode_heic=no_call), pi_heif=pi_heif)
    for content in (several, held, heif(decoder(32, 32))):
        assert (pixels(content) == COLORS).all()
        assert reader(content) == "HEIC by pi-heif"
    missing = (ImportError("libheif"), RuntimeError("Unsupported codec. If this is"))
    for error in (*missing, RuntimeError("broken. If this is an Unsupported codec")):
        install(monkeypatch, torchcodec=Torchcodec(COLORS, error), pi_heif=pi_heif)
        assert (pixels(HEIC) == srgb_of_rgb(COLORS).round()).mean() > 0.9
        assert reader(HEIC) == "HEIC by pi-heif"
        install(monkeypatch, torchcodec=Torchcodec(COLORS, error))
        reason = Reason.UNSUPPORTED if error in missing else Reason.CORRUPT
        refused = refusal(HEIC)
        assert refused.reason is reason
        assert ("sosie[formats]" in refused.message) == (error in missing)


def test_thumbnails_alpha_and_the_tiles_of_a_grid_are_no_pictures_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, torchcodec=Torchcodec(np.ascontiguousarray(COLORS.transpose(2, 0, 1))))
    plain = size(32, 32), decoder(32, 32)
    beside = [(b"thmb", 2, 1), (b"auxl", 3, 1), (b"cdsc", 4, 1)]
    kinds = (b"hvc1", b"hvc1", b"hvc1", b"Exif")
    for content in (
        heif(*plain, kinds=kinds, references=beside),
        heif(*plain, kinds=(b"grid", b"hvc1", b"hvc1"), hidden=2, data=b"\0\0\0\1\0\x20\0\x20"),
    ):
        assert reader(content) == "HEIC by torchcodec"


@pytest.mark.parametrize(
    "content",
    [
        heif(size(32, 32), decoder(20_000, 20_000)),
        heif(size(32, 32), size(20_000, 20_000), decoder(32, 32)),
        heif(size(32, 32), kinds=(b"grid",), data=struct.pack(">4B2H", 0, 0, 1, 1, 20_000, 20_000)),
        heif(size(32, 32), kinds=(b"grid",), data=struct.pack(">4B2I", 0, 1, 1, 1, 80_000, 9_000)),
        heif(size(32, 32), kinds=(b"iovl",), data=struct.pack(">2B8x2H", 0, 0, 20_000, 20_000)),
    ],
)
def test_a_heic_whose_parts_are_vaster_than_it_says_is_refused_before_it_is_decoded(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older libheifs go by what decoders and canvases say, and fail only behind it, or never."""

    def no_call(_: bytes, **__: object) -> None:
        pytest.fail("was decoded")

    def opened(_: object) -> Image.Image:
        picture = Image.new("RGB", (32, 32))
        monkeypatch.setattr(picture, "load", lambda: pytest.fail("was decoded"))
        return picture

    install(monkeypatch, torchcodec=SimpleNamespace(decode_heic=no_call))
    assert refusal(content).reason is Reason.TOO_LARGE
    install(monkeypatch, pi_heif=SimpleNamespace(HeifImageFile=opened))
    assert refusal(content).reason is Reason.TOO_LARGE


def test_both_readers_of_heic_see_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = pytest.importorskip("torchcodec.decoders")
    library = pytest.importorskip("pi_heif")
    try:
        decoders.decode_heic(HEIC)
    except ImportError:
        pytest.skip("no libheif")
    install(monkeypatch, torchcodec=decoders)
    one = pixels(HEIC)
    assert reader(HEIC) == "HEIC by torchcodec"
    install(monkeypatch, pi_heif=library)
    assert reader(HEIC) == "HEIC by pi-heif"
    assert np.abs(pixels(HEIC) - one).max() <= 2


@pytest.mark.parametrize("write", [lambda: HEIC, lambda: b"\xff\x0a" + bytes(99)])
def test_without_a_library_the_refusal_names_the_format_and_what_to_type(
    write: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra_formats, "_installed", lambda _: None)
    refused = refusal(write())
    assert refused.reason is Reason.UNSUPPORTED
    assert "HEIC" in refused.message or "JPEG XL" in refused.message
    assert 'pip install "sosie[formats]"' in refused.message


def test_vast_and_cut_heic_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, pi_heif=pytest.importorskip("pi_heif"))
    place = HEIC.index(b"ispe") + 8
    vast = HEIC[:place] + (60_000).to_bytes(4, "big") * 2 + HEIC[place + 8 :]
    assert refusal(vast).reason is Reason.TOO_LARGE
    for end in (len(HEIC) // 3, len(HEIC) // 2):
        assert refusal(HEIC[:end]).reason in (Reason.CORRUPT, Reason.TRUNCATED)


def test_files_of_these_names_are_listed(tmp_path: Path) -> None:
    for name in ("a.heic", "b.heif", "c.jxl"):
        (tmp_path / name).write_bytes(b"x")
    assert list(list_folder(tmp_path).ids) == ["a.heic", "b.heif", "c.jxl"]
