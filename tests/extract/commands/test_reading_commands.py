"""What commands say of a file whose pictures an earlier version read without their profiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from icc_profiles import rgb_profile
from PIL import Image
from small_catalogs import draw_noise
from typed_commands import Typist

from analyze.__main__ import main as analyze
from extract.__main__ import main as extract
from extract.images import decoding
from extract.images.sample_formats import USUAL
from extract.inference import execution_config
from extract.pipeline import extraction

SMALL = ("--model", "timm:test_resnet", "--weights", "random", "--runtime", "eager")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(3):
        draw_noise(tmp_path / "img" / f"{i}.png", i)
    colors = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(colors).save(tmp_path / "img/wide.png", icc_profile=rgb_profile())
    return tmp_path


def test_old_and_new_readings_are_told_apart_by_every_command_until_one_run_ends_it(
    typist: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(decoding, "stored_numbers", lambda *_, **__: USUAL)
        own = execution_config.variants
        without = lambda how: tuple(way for way in own(how) if "reading" not in way)  # noqa: E731
        earlier.setattr(extraction, "variants", without)
        file = typist(extract, "--images", "img", *SMALL, "--json").json["file"]
    other_bytes = typist.at / "other.png"  # a picture of the file is known by its bytes
    other_bytes.write_bytes((typist.at / "img/wide.png").read_bytes() + b"\0")
    ask = (analyze, "similar", "--embeddings", file, "--query", "other.png", "--json")
    show = (extract, "show", file, "--json")

    before = typist(*show).json
    assert before["rules"] == before["identity"]["rules"]
    assert "profiles not applied" in before["rules"]["color"]
    assert any("profile" in note and "extract" in note for note in typist(*ask).json["notes"])
    refused = typist(extract, "verify", file)
    assert refused.code == 1
    assert "run python -m extract again" in refused.notes[-1]

    again = typist(extract, "--images", "img", *SMALL, "--json").json
    assert (again["file"], again["embedded"], again["reused"]) == (file, 1, 3)
    after = typist(*show).json
    assert after["identity"] == before["identity"]
    assert "ICC profile" in after["rules"]["color"]
    assert "not applied" not in after["rules"]["color"]
    assert "not applied" not in typist(extract, "show", file).out
    assert not any("profile" in note for note in typist(*ask).json["notes"])
    assert typist(extract, "verify", file).code == 0
