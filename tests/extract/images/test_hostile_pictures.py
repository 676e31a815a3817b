"""The corpus of awkward and hostile pictures in short, and what may be held in memory at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.catalog.catalog import list_folder
from extract.formats.picture_headers import has_many_scans
from extract.images import decoders, decoding
from extract.images.decoders import prepare_picture
from extract.images.decoding import decode_picture
from extract.images.memory_limits import Budget
from extract.images.pixels import upright_rgb
from extract.images.reading import read_picture
from extract.loading.picture import Destination, PictureLoader, Place
from extract.refusals import Reason, Refused
from extract.transforms.preprocessing import Preprocessing
from tests.faults import picture_bytes as pb
from tests.faults import picture_cases as corpus
from tests.faults.picture_cases import Case, plant
from tests.faults.warm_server import WarmServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of Pillow, on broken tags
]

GROUPS = [
    corpus.orientations,
    corpus.broken_exif,
    corpus.jpeg_modes,
    corpus.png_modes,
    corpus.tiff_modes,
    corpus.other_modes,
    corpus.not_pictures,
    corpus.kinds_of_files,
    corpus.names,
    corpus.limits_and_bombs,
]
COSTLY = {b"limits/bomb.png", b"limits/bomb_gray.png", b"limits/segments.jpg"}


SEEN = Preprocessing(32, "crop", 0.875, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
Decode = Callable[[bytes], np.ndarray]
Group = Callable[[], Iterator[Case]]


@pytest.fixture(params=["reference", "fast"])
def decode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Decode:
    """A decoder's upright pixels, as they are before they are resized."""
    found: list[np.ndarray] = []

    def kept(upright: np.ndarray) -> np.ndarray:
        found.append(upright)
        return np.zeros((SEEN.size, SEEN.size, 3), np.uint8)

    def place(stored: np.ndarray, _: Preprocessing, orientation: int = 1) -> np.ndarray:
        return kept(np.asarray(upright_rgb(Image.fromarray(stored), orientation)))

    monkeypatch.setattr(Preprocessing, "placed", lambda _, picture: kept(np.asarray(picture)))
    monkeypatch.setattr(decoders, "place", place)

    def decoded(content: bytes) -> np.ndarray:
        prepare_picture(content, {SEEN}, request.param)
        return found.pop()

    return decoded


@cache  # three tests ask for each group
def cases_of(group: Group) -> tuple[Case, ...]:
    return tuple(case for case in group() if case.path not in COSTLY)


def what_comes_of(case: Case, folder: Path, decode: Decode) -> tuple[Reason | None, float]:
    """Give the refusal, or the mean difference to the pixels that are expected."""
    try:
        file = read_picture(folder, case.path.decode("utf-8", "surrogateescape"))
        got = decode(file.content).astype(float)
    except Refused as refused:
        return refused.reason, 0
    if case.pixels is None:
        return None, 0
    assert got.shape == case.pixels.shape, case.path
    return None, float(np.abs(got - case.pixels).mean())


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_case_is_decoded_rightly_or_refused_for_its_reason(
    group: Group, decode: Decode, tmp_path: Path
) -> None:
    folder = (tmp_path / "corpus" / "shop").resolve()
    for case in cases_of(group):
        plant(case, folder)
        reason, difference = what_comes_of(case, folder, decode)
        assert reason in case.outcomes, (case.path, reason)
        assert difference <= case.tolerance, case.path


def test_a_cut_picture_is_refused_or_has_all_its_pixels(tmp_path: Path, decode: Decode) -> None:
    for case in corpus.truncated(n_places=8):
        plant(case, tmp_path.resolve())
        reason, difference = what_comes_of(case, tmp_path.resolve(), decode)
        assert reason in case.outcomes, (case.path, reason)
        assert difference == 0, case.path


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_the_fast_decoder_refuses_what_the_reference_does_in_the_same_words(
    group: Group, tmp_path: Path
) -> None:
    folder = (tmp_path / "corpus" / "shop").resolve()

    def said(content: bytes, decoder: str) -> tuple[Reason, str] | None:
        try:
            prepare_picture(content, {SEEN}, decoder)
        except Refused as refused:
            return refused.reason, refused.message
        return None

    for case in cases_of(group):
        plant(case, folder)
        try:
            file = read_picture(folder, case.path.decode("utf-8", "surrogateescape"))
        except Refused:
            continue
        assert said(file.content, "fast") == said(file.content, "reference"), case.path


def test_bands_give_the_pixels_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (41, 23, 4), np.uint8)
    pictures = [Image.fromarray(colors).convert(mode) for mode in ("RGBA", "LA", "CMYK", "P", "1")]
    pictures.append(Image.fromarray(rng.integers(0, 65536, (41, 23)).astype(np.uint16)))
    clear = Image.fromarray(colors[..., 0])
    clear.info["transparency"] = 7
    for picture in [*pictures, clear]:
        for orientation in (1, 6):
            whole = np.asarray(upright_rgb(picture.copy(), orientation))
            with monkeypatch.context() as patch:
                patch.setattr("extract.images.pixels.BAND_PIXELS", 100)
                banded = np.asarray(upright_rgb(picture.copy(), orientation))
            assert (banded == whole).all(), picture.mode


def test_jpegs_that_are_kept_whole_while_decoded_are_told_by_their_scans() -> None:
    gray = Image.fromarray(corpus.GRAY)
    assert has_many_scans(pb.jpeg_in_three_scans(gray))
    assert has_many_scans(pb.saved(gray, "JPEG", progressive=True))
    for mode in ("L", "RGB", "CMYK"):
        assert not has_many_scans(pb.saved(gray.convert(mode), "JPEG"))


def test_threads_never_hold_more_than_the_budget_and_the_largest_gets_its_turn() -> None:
    budget, seen, lock = Budget(100), [], threading.Lock()
    at_work: list[int] = []

    def work(n_bytes: int) -> None:
        with budget.holding(n_bytes):
            with lock:
                at_work.append(n_bytes)
                seen.append(tuple(at_work))
            time.sleep(0.001)
            with lock:
                at_work.remove(n_bytes)

    sizes = random.Random(0).choices([5, 20, 45, 90, 300], k=80)
    threads = [threading.Thread(target=work, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 80
    assert all(sum(together) <= 100 or len(together) == 1 for together in seen)
    assert max(len(together) for together in seen) > 1
    assert budget.held == 0


@pytest.mark.parametrize("decoder", ["reference", "fast"])
def test_a_refusal_keeps_neither_bytes_nor_pixels_alive(tmp_path: Path, decoder: str) -> None:
    (tmp_path / "cut.png").write_bytes(pb.saved(Image.fromarray(corpus.NOISE), "PNG")[:3000])
    batches = np.zeros((1, 1, SEEN.size, SEEN.size, 3), np.uint8)
    destinations = [Destination(SEEN, decoder, batches, lambda *_: True)]
    refused = PictureLoader(list_folder(tmp_path), destinations).load(0, [Place(0, 0, 0)]).refused
    assert refused is not None
    assert refused.reason is Reason.TRUNCATED
    assert (refused.__traceback__, refused.__cause__, refused.__context__) == (None, None, None)


def test_the_reckoning_is_made_before_a_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "upright_rgb", lambda *_: pytest.fail("was decoded"))
    for content in (pb.bare_png((60, 6_001)), pb.png((13_000, 13_000), 8, 6, b"")):
        with pytest.raises(Refused) as refusal:
            decode_picture(content)
        assert refusal.value.reason in (Reason.ASPECT, Reason.TOO_LARGE)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize(("decoder", "pixel_bytes"), [("reference", 4), ("fast", 3)])
def test_threads_take_no_more_for_three_large_pictures_than_for_one(
    warm_server: WarmServer, tmp_path: Path, decoder: str, pixel_bytes: int
) -> None:
    side, small, shop = 3_667, tmp_path / "small.jpg", tmp_path / "shop"
    shop.mkdir()
    Image.new("RGB", (20, 20), "teal").save(small)
    Image.new("RGB", (side, side), "teal").save(shop / "0.jpg")
    for name in ("1.jpg", "2.jpg"):
        (shop / name).hardlink_to(shop / "0.jpg")
    words = ("tests.three_at_once", str(shop), decoder, str(small))
    process = warm_server.start(words, tmp_path / "said", tmp_path)
    assert process.wait() == 0, process.said
    one = pixel_bytes * side * side
    assert one < int(process.said) < 1.5 * one
