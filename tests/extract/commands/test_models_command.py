"""Several models in one command: what is printed and stored, and what is typed wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import Run, draw_noise
from typed_commands import signals_as_they_were

from extract.__main__ import main
from extract.storage.embeddings_file import read_embeddings, read_provenance, read_table

TWO = ("--model", "timm:test_resnet", "--model", "timm:test_vit", "--weights", "random")
PROMISED = (
    "file model weights identity n_images embedded reused refused to_do images_per_second seconds"
)


@pytest.fixture
def shop(workspace: Path) -> Path:
    """A folder of ten pictures in a workspace, one of them broken."""
    for i in range(10):
        draw_noise(workspace / "shop" / ("cups", "hats")[i % 2] / f"{i}.png", i)
    (workspace / "shop" / "cups" / "4.png").write_bytes(b"broken")
    return workspace


def typed(monkeypatch: pytest.MonkeyPatch, workspace: Path, *words: str) -> int:
    """Run the command in this process, which has loaded all that is slow to load."""
    monkeypatch.chdir(workspace)
    monkeypatch.delenv("SOSIE_ROOT", raising=False)
    monkeypatch.setattr(sys, "argv", [*words])
    with pytest.raises(SystemExit) as end, signals_as_they_were():
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_two_models_are_two_files_and_one_object_of_runs(
    run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("extract", "--images", "shop", *TWO, "--batch-size", "2")
    done = run(*command, "--limit", "4", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said) == {"runs"}
    assert [each["model"] for each in said["runs"]] == ["timm:test_resnet", "timm:test_vit"]
    for each, width in zip(said["runs"], (96, 64), strict=True):
        assert set(PROMISED.split()) <= each.keys()
        assert (each["n_images"], each["embedded"], each["reused"]) == (10, 3, 0)
        assert (each["refused"], each["to_do"]) == ({"unidentified": 1}, 6)
        assert each["weights"] == "random"
        assert each["images_per_second"] > 0 < each["seconds"]
        file = shop / each["file"]
        assert file.name.endswith(f"-{each['identity']}.h5")
        table = read_table(file)
        assert table.n_dims == width
        assert table.provenance.short_identity == each["identity"]
        assert table.provenance.record["models_in_pass"] == 2
        assert table.provenance.record["model"] == each["model"]
        assert table.counts() == {"sound": 3, "to_do": 6, "refused": {"unidentified": 1}}
    files = [shop / each["file"] for each in said["runs"]]
    stored = (shop / "cache" / "embeddings" / "shop").glob("*.h5")
    assert sorted(p for p in stored if ".labels" not in p.name) == sorted(files)

    # without --limit both go on, and people are told of each
    begun = [read_embeddings(path) for path in files]
    assert typed(monkeypatch, shop, *command) == 0
    told = capsys.readouterr().out
    assert told.count("10 pictures: 6 embedded, 3 reused, 1 refused, 0 to do") == 2
    for path, before, each in zip(files, begun, said["runs"], strict=True):
        assert each["file"] in told
        after = read_embeddings(path)
        assert len(after) == 9
        kept = [after.ids.index(row_id) for row_id in before.ids]
        np.testing.assert_array_equal(after.vectors[kept], before.vectors)
        assert read_provenance(path).record["models_in_pass"] == 2


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (
            "--model timm:test_vit --model timm:test_resnet --model timm:test_vit",
            2,
            ["timm:test_vit", "twice"],
        ),
        ("--model timm:test_vit --model timm:test_resnet --output x.h5", 2, ["--output"]),
        ("--model timm:test_vit --model timm:test_resnet --weights w.pth", 2, ["--weights FILE"]),
        ("--model timm:test_vit --weights w.pth", 1, ["no weights file w.pth"]),
        ("--model timm:test_vit --weights shop/cups/0.png", 1, ["cannot be read as weights"]),
        ("--model timm:test_resnte --weights random", 2, ["'test_resnte'", "test_resnet"]),
        ("--model timm:resnet50.nope --weights random", 2, ["'resnet50.nope'", "a1_in1k"]),
        ("--model timm:test_vit --model timm:qqqq --weights random", 2, ["'qqqq'"]),
        ("--model timm: --weights random", 2, ["no backbone 'timm:'", "timm:NAME"]),
        ("--model hf: --weights random", 2, ["no backbone 'hf:'", "hf:REPO"]),
        ("--model resnet18 --weights random", 2, ["no backbone 'resnet18'", "timm:NAME"]),
        (
            "--model timm:test_resnet --weights random --pooling cls",
            2,
            ["test_resnet", "no class token", "--pooling auto or mean"],
        ),
        (
            "--model timm:test_vit --model timm:test_resnet --weights random --pooling cls",
            2,
            ["test_resnet", "no class token"],
        ),
        ("--model timm:test_vit --pooling max", 2, ["--pooling", "'max'", "mean"]),
        ("--model timm:test_vit --resize stretch", 2, ["--resize", "'stretch'", "squash"]),
        ("--model timm:test_vit --weights random --output x.npz", 2, ["x.npz must end in .h5"]),
    ],
)
def test_what_is_typed_wrong_is_one_line_and_nothing_is_written(
    command: str,
    code: int,
    said: list[str],
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert typed(monkeypatch, shop, "extract", "--images", "shop", *command.split()) == code
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    for words in said:
        assert words in lines[0]
    assert [path.name for path in shop.iterdir()] == ["shop"]
