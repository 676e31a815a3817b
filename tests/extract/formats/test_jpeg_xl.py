"""JPEG XL: its colors, its alpha, its channels, and what is refused before it is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from every_decoder import SEEN, pixels
from icc_profiles import GAMMA, SRGB, rgb_profile, srgb_of_rgb, srgb_of_xyz
from jpeg_xl_headers import USUAL, channel, colors, header, kind, number, point

from extract.images.decoders import prepare_picture
from extract.images.decoding import decode_picture
from extract.refusals import Reason, Refused

library = pytest.importorskip("pylibjxl")

RAMP = np.linspace(20, 235, 32).round().astype(np.uint8)
COLORS = np.stack(np.broadcast_arrays(RAMP[None], RAMP[::-1, None], np.uint8(70)), -1).astype(
    np.uint8
)
ALPHA = np.broadcast_to(np.where(np.arange(32) < 16, 255, 128).astype(np.uint8)[:, None], (32, 32))
CLEAR = np.dstack([COLORS, ALPHA])
PLAIN = header(32, 32)
P3 = np.array(
    [[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
"""Red, green and blue of Display P3 as columns of XYZ, under D50."""


def encoded(picture: np.ndarray, **options: object) -> bytes:
    content: bytes = library.encode(np.ascontiguousarray(picture), lossless=True, **options)
    return content


def said_otherwise(picture: np.ndarray, said: bytes, channels: Sequence[str] = ()) -> bytes:
    """Encode a picture, and put another header before the same numbers."""
    content, own = encoded(picture), header(32, 32, channels=channels)
    assert content.startswith(own)
    return said + content[len(own) :]


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        decode_picture(content)
    assert "\n" not in refused.value.message
    return refused.value


def linear_of(levels: np.ndarray) -> np.ndarray:
    share = levels / 255.0
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def test_naked_and_in_a_container_in_its_own_profile() -> None:
    naked = encoded(COLORS)
    assert naked[:2] == b"\xff\x0a"
    contained = encoded(COLORS, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    assert contained[4:8] == b"JXL "
    for content in (naked, contained):
        assert (pixels(content) == COLORS).all()
    wide = pixels(encoded(COLORS, icc=rgb_profile()))
    assert np.abs(wide - srgb_of_rgb(COLORS)).max() <= 1
    gray = encoded(COLORS[..., :1])
    assert (pixels(gray) == COLORS[..., :1]).all()
    narrow = encoded(COLORS[:, :1, :1])
    assert (pixels(narrow) == COLORS[:, :1, :1]).all()
    reading = prepare_picture(naked, (SEEN,), "fast").reading
    assert reading is not None
    assert reading.endswith("JPEG XL by pylibjxl")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (colors(), COLORS),
        (colors(primaries=kind(11)), srgb_of_xyz(linear_of(COLORS) @ P3.T)),
        (colors(curve="0" + kind(8)), srgb_of_rgb(COLORS, SRGB, 1.0)),
        (
            colors(
                primaries=kind(2) + point(0.64, 0.33) + point(0.21, 0.71) + point(0.15, 0.06),
                curve="1" + number(round(1e7 / GAMMA), 24),
            ),
            srgb_of_rgb(COLORS),
        ),
    ],
    ids=["sRGB", "Display P3", "linear", "Adobe RGB"],
)
def test_colors_given_by_numbers_become_srgb(said: str, expected: np.ndarray) -> None:
    got = pixels(said_otherwise(COLORS, header(32, 32, said=said)))
    assert np.abs(got - expected).max() <= 2
    if said == colors():
        assert (got == COLORS).all()


def test_transparent_ones_are_laid_on_white_whether_or_not_colors_hold_their_alpha() -> None:
    share = ALPHA[..., None] / 255.0
    plain = pixels(encoded(CLEAR))
    assert np.abs(plain - (COLORS * share + 255 * (1 - share))).max() <= 1
    held = (COLORS * share).round().astype(np.uint8)
    said = header(32, 32, channels=[channel(0, held=True)])
    got = pixels(said_otherwise(np.dstack([held, ALPHA]), said, [USUAL]))
    assert np.abs(got - plain).max() <= 2


def test_a_channel_beside_the_colors_changes_nothing() -> None:
    depth = said_otherwise(CLEAR, header(32, 32, channels=[channel(1)]), [USUAL])
    assert (pixels(depth) == COLORS).all()


def test_what_cannot_be_read_right_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library, "decode", lambda *_, **__: pytest.fail("was decoded"))
    beyond_white = colors(curve="0" + kind(16))
    for content, said in (
        (header(32, 32, animated=True), "animated"),
        (header(32, 32, channels=[channel(4)]), "CMYK"),
        (header(32, 32, mixed=True, said="01" + kind(0)), "ICC profile"),
        (header(32, 32, said=beyond_white), "high dynamic range"),
        (header(32, 32, said=colors(white=kind(5))), "unknown colors"),
    ):
        refused = refusal(content)
        assert refused.reason is Reason.UNSUPPORTED
        assert said in refused.message
        assert "save it as" in refused.message
    assert refusal(header(40_000, 40_000)).reason is Reason.TOO_LARGE
    assert refusal(header(20_000, 100)).reason is Reason.ASPECT


def test_memory_is_reckoned_by_all_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "decode", lambda *_, **__: (np.zeros((3000, 4000, 3), np.uint8),))
    few, many = (header(4000, 3000, channels=[channel(1)] * n) for n in (1, 17))
    assert refusal(many).reason is Reason.TOO_LARGE
    assert refusal(few).reason is not Reason.TOO_LARGE


def test_a_cut_one_is_refused_as_cut_off() -> None:
    content = encoded(COLORS)
    for end in (3, 4):
        assert refusal(content[:end]).reason is Reason.TRUNCATED
    contained = encoded(COLORS, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    for cut in (content[: len(content) // 2], contained[:40], contained[: len(contained) // 2]):
        assert refusal(cut).reason in (Reason.CORRUPT, Reason.TRUNCATED)
