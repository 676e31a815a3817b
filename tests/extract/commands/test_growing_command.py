"""A catalogue that grows, as a user sees it: what was computed, what was kept, and how."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_catalogs import Run, draw_noise

EMBED = "extract --images shop --model timm:test_resnet --weights random --json".split()


@pytest.fixture
def shop(workspace: Path) -> Path:
    for i in range(12):
        draw_noise(workspace / "shop" / f"kind{i % 3}" / f"{i}.png", i)
    return workspace / "shop"


def test_only_new_content_is_computed_and_all_else_is_said(shop: Path, run: Run) -> None:
    def embed(*words: str) -> dict[str, Any]:
        done = run(*EMBED, *words)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    assert embed()["embedded"] == 12
    (shop / "kind0").rename(shop / "renamed")
    os.utime(shop / "kind1" / "1.png", ns=(1, 1))
    shutil.copy(shop / "kind1" / "10.png", shop / "kind1" / "copy.png")
    (shop / "kind2" / "2.png").unlink()
    draw_noise(shop / "kind2" / "new.png", 99)
    grown = embed()
    assert (grown["n_images"], grown["reused"], grown["embedded"], grown["copied"]) == (
        13,
        11,
        2,
        1,
    )
    assert any("5 pictures were renamed" in note for note in grown["notes"])
    assert any("1 rows of pictures that are not listed" in note for note in grown["notes"])

    path = shop / "kind1" / "4.png"
    seen, content = path.stat(), path.read_bytes()
    path.write_bytes((shop / "kind2" / "5.png").read_bytes().ljust(len(content), b"\0"))
    same_size = path.stat().st_size == len(content)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert embed()["embedded"] == (0 if same_size else 1)
    assert embed("--rehash")["embedded"] == (1 if same_size else 0)

    draw_noise(shop / "kind2" / "other.png", 100)
    assert any("2 ways" in note for note in embed("--batch-size", "2")["notes"])
    # a PNG is decoded by the reference and resized in the fast way
    show = json.loads(run("extract", "show", grown["file"], "--json").stdout)
    new, old = sorted(show["rows_by_realisation"], key=lambda way: way["n_rows"])
    assert (new["n_rows"], new["ids"], old["n_rows"]) == (1, ["kind2/other.png"], 13)
    number = new["realisation"]
    sizes = [show["realisations"][way["realisation"]]["batch_size"] for way in (old, new)]
    assert sizes == [16, 2]
    assert f"1 rows by {number}: kind2/other.png" in run("extract", "show", grown["file"]).stdout


def test_a_file_of_the_old_default_goes_on_growing_until_another_is_asked_for(
    shop: Path, run: Run
) -> None:
    def embed(*words: str) -> tuple[dict[str, Any], str]:
        done = run(*EMBED, *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    old, said = embed("--resize", "model")
    assert "going on with" not in said
    draw_noise(shop / "kind0" / "new.png", 99)
    grown, said = embed()
    assert (grown["file"], grown["resize"], grown["embedded"]) == (old["file"], "crop", 1)
    assert f"going on with {old['file']}" in said
    assert "--json --resize auto makes a file of whole pictures" in said  # the command as typed
    new, said = embed("--resize", "auto")
    assert (new["resize"], new["embedded"]) == ("pad", 13)
    assert new["file"] != old["file"]
    assert "going on with" not in said
    again, said = embed()
    assert (again["file"], again["embedded"]) == (new["file"], 0)
    assert "going on with" not in said

    # one file by name likewise: it is never another geometry's
    apart = ("--output", "apart.h5")
    assert embed(*apart, "--resize", "model")[0]["resize"] == "crop"
    assert embed(*apart)[0]["resize"] == "crop"
    refused = run(*EMBED, *apart, "--resize", "auto")
    assert (refused.returncode, "of another identity" in refused.stderr) == (1, True)
