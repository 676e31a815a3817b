"""HEIC and JPEG XL: read where a library is installed, named where none is, bounded in any case."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from icc_profiles import rgb_profile, srgb_of_rgb

from extract import extra_formats
from extract.catalog import list_folder
from extract.decoders import prepare_picture
from extract.decoding import decode_picture
from extract.preprocessing import Preprocessing
from extract.refusals import Reason, Refused

SEEN = Preprocessing(16, "squash", 1.0, "bilinear", (0.5,) * 3, (0.5,) * 3)
RAMP = np.linspace(20, 235, 32).round().astype(np.uint8)
COLORS = np.stack(np.broadcast_arrays(RAMP[None], RAMP[::-1, None], np.uint8(70)), -1).astype(
    np.uint8
)
HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0009MZDn*}000000000XXk=`10000000000aA{+70000000000000"
    "00000004sdC7Z2$lO00062000naWMOmw00000AOIi$001~?Y;R)$0000)KmY;&0RR9100003Hvj<u00000007JY0"
    "ssL3000000003100000000O8001~?X>Mi!000000ssI26=`l}WdZ;I0RRC20BCk&F#rGn02OI&W@Q2Z00002003u"
    "lX=DHZ00KT~aB^?}00J9naAR)(004Jrc4I>U1PA~C000000000U@BsY(`1k+-"
    "4+9_o0RR_30Sp2E{{#pC00RJ?H~;_x0017k0ze@E0RSpO0RaRE00093o;Uyi0{{RXkOUAQvfW&i*Ea$J1_S^A0{{"
    "d700RI7AR+((00=|@!E+ce2#^2(02FC+aAg1h0000006+i$06+i$02FC+aAg1h0000003ZMW03ZMW0c2xuY;tgNZ"
    ")N}h0ayS40006&003=nbaGNhLLgXKS|9)b0000000000003cQb8r9v0000000000000000000000000000000000"
    "0_SOIa00000(=7l100000000000000000000000000000000000000000000000000000000000000(z;aC86w0N"
    "4Nk02FdqSy})90PFw&02FdmQbPa$0RR9101#(bSy})90T2KH02F6bQbPa$0VDtb01#qWSy})90W<&r02E?WQbPa$"
    "0Z0G<01#MNS|9)b00000_SOIa00000(=Aw8S|9)b00000oEZQBPo@9>1pQ-ma&`a!00000009Cs003B7S|9)b000"
    "00G>ZTLpeq0X50_(ga&`a!00000009Cs003B7S|9)b00000CNuy55HA1#zOG|+a&`a!00000009Cs0000001$9#c"
    "xeCt0009B2nYZG02^s=ZD9Za0000000IC30)YYm0s{ktg#Z8m8fkK6W&i*H000004rFO<X8-"
    "~K0RRC2007i&WMOmw0077+0j~x)u8`Lid;9r_`W|gKd|uV+Vz1#1in9&_@)luA54&!7K~y2GeEiT0{-#*6Jk-CzK"
    "6o&~!?DoQbK%U|r2ZC+rE_0&U5`M?h(6lHWU6sIxAKt_gF6$&-"
    "NLuK{sW_{5Rj!O<<(>Nue1J0p7>K1+}p6(rj{hu84wO4I2OFxAssy8mrD6;L95q1^)~q2?F_h~;OdBTWFJqz5m;+"
    "Zw8;EbF;zJ?BbN!gJd-IMHm8+T|MAb7Fu-HI_gTOE;y>^"
)
"""``COLORS`` in the colors of ``rgb_profile()``, brand heic, by libheif's own encoder."""


def of_brand(brand: bytes, content: bytes = HEIC) -> bytes:
    return content[:8] + brand + content[12:]


def pixels(content: bytes) -> np.ndarray:
    """Decode upright, and see that the fast path sees the same."""
    got = np.asarray(decode_picture(content)).astype(int)
    reference, fast = (prepare_picture(content, (SEEN,), each) for each in ("reference", "fast"))
    assert np.abs(reference.pixels[SEEN].astype(int) - fast.pixels[SEEN]).max() <= 2
    assert reference.dimensions == fast.dimensions == got.shape[:2]
    return got


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        decode_picture(content)
    assert "\n" not in refused.value.message
    return refused.value


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_heic_of_every_brand_is_read_in_its_own_colors(brand: bytes) -> None:
    pytest.importorskip("pi_heif")
    assert np.abs(pixels(of_brand(brand)) - srgb_of_rgb(COLORS)).mean() < 3


def test_heic_is_read_by_torchcodec_where_pi_heif_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = torch.from_numpy(np.dstack([COLORS, np.full((32, 32), 255, np.uint8)]))
    decoders = SimpleNamespace(decode_heic=lambda _, mode: stored.permute(2, 0, 1))
    libraries = {"torchcodec.decoders": decoders}
    monkeypatch.setattr(extra_formats, "_installed", libraries.get)
    assert np.abs(pixels(HEIC) - srgb_of_rgb(COLORS)).max() <= 2

    def without_libheif(*_: object, **__: object) -> None:
        raise ImportError("libheif")

    decoders.decode_heic = without_libheif
    assert "HEIC is not read here" in refusal(HEIC).message


def jpeg_xl(picture: np.ndarray, **options: object) -> bytes:
    encoded: bytes = pytest.importorskip("pylibjxl").encode(picture, lossless=True, **options)
    return encoded


def test_jpeg_xl_is_read_naked_and_in_a_container_in_its_own_colors() -> None:
    naked = jpeg_xl(COLORS)
    assert naked[:2] == b"\xff\x0a"
    contained = jpeg_xl(COLORS, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    assert contained[4:8] == b"JXL "
    for content in (naked, contained):
        assert (pixels(content) == COLORS).all()
    wide = pixels(jpeg_xl(COLORS, icc=rgb_profile()))
    assert np.abs(wide - srgb_of_rgb(COLORS)).max() <= 1
    gray = jpeg_xl(COLORS[..., :1])
    assert (pixels(gray) == COLORS[..., :1]).all()


def test_transparent_jpeg_xl_is_laid_on_white() -> None:
    alpha = np.where(np.arange(32) < 16, 255, 0).astype(np.uint8)[:, None].repeat(32, 1)
    expected = np.where(alpha[..., None] > 0, COLORS, 255)
    assert (pixels(jpeg_xl(np.dstack([COLORS, alpha]))) == expected).all()


@pytest.mark.parametrize("write", [lambda: HEIC, lambda: b"\xff\x0a" + bytes(99)])
def test_without_a_library_the_refusal_names_the_format_and_what_to_type(
    write: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra_formats, "_installed", lambda _: None)
    refused = refusal(write())
    assert refused.reason is Reason.UNSUPPORTED
    assert "HEIC" in refused.message or "JPEG XL" in refused.message
    assert 'pip install "sosie[formats]"' in refused.message


def test_vast_and_cut_pictures_are_refused_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pi_heif")
    library = pytest.importorskip("pylibjxl")
    place = HEIC.index(b"ispe") + 8
    vast = HEIC[:place] + (60_000).to_bytes(4, "big") * 2 + HEIC[place + 8 :]
    assert refusal(vast).reason is Reason.TOO_LARGE
    sound = jpeg_xl(COLORS)
    monkeypatch.setattr(library, "decode", lambda *_, **__: pytest.fail("was decoded"))
    said = {"width": 40_000, "height": 40_000, "have_animation": False}
    monkeypatch.setattr(library, "probe", lambda _: said)
    assert refusal(sound).reason is Reason.TOO_LARGE
    monkeypatch.setattr(library, "probe", lambda _: {**said, "have_animation": True})
    assert refusal(sound).reason is Reason.UNSUPPORTED
    monkeypatch.undo()
    for content in (HEIC, sound):
        for end in (len(content) // 3, len(content) // 2):
            assert refusal(content[:end]).reason in (Reason.CORRUPT, Reason.TRUNCATED)


def test_files_of_these_names_are_listed(tmp_path: Path) -> None:
    for name in ("a.heic", "b.heif", "c.jxl"):
        (tmp_path / name).write_bytes(b"x")
    assert list(list_folder(tmp_path).ids) == ["a.heic", "b.heif", "c.jxl"]
