"""``extract verify`` as a user types it: exit codes, JSON, what to type next."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_catalogs import TREES, Run, draw, run_in

from extract.files.strict_json import with_check_sum
from extract.storage.embeddings import canonical_json, row_crc32, sha256_of
from extract.storage.embeddings_file import read_table
from extract.storage.labels_file import labels_path
from extract.verification.checks import Check
from extract.verification.verdict import Verdict

NAMES = (
    "readable ids counts check_sums finite not_constant contents doubled weights golden recomputed"
).split()


@pytest.fixture(scope="module")
def embedded(embedded_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of which one catalogue is embedded, with a picture that is refused."""
    root = Path(shutil.copytree(embedded_shop, tmp_path_factory.mktemp("refusing") / "shop"))
    for other in ("unsorted", "products"):
        shutil.rmtree(root / "cache/embeddings" / other)
    for name in ("1.jpg", "2.jpg"):  # each is computed again in most tests
        for kind in TREES:
            (root / "photos" / kind / name).unlink()
    listed = (root / "photos" / "metadata.csv").read_text().splitlines()
    kept = [line for line in listed if not line.partition(",")[0].endswith(("1.jpg", "2.jpg"))]
    (root / "photos" / "metadata.csv").write_text("\n".join(kept) + "\n")
    (root / "photos" / "Mugs" / "9.jpg").write_bytes(b"")
    assert run_in(root, "extract", "--images", "photos", "--restart").returncode == 0
    return root


@pytest.fixture
def shop(embedded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(embedded, tmp_path / "shop"))


@pytest.fixture
def file(shop: Path) -> Path:
    (path,) = (
        p for p in (shop / "cache/embeddings/photos").glob("*.h5") if ".labels" not in p.name
    )
    return path


@pytest.fixture
def run(shop: Path) -> Run:
    return partial(run_in, shop)


def spoil(path: Path, row: int, *, fitted: bool) -> str:
    """Change a row's vector; give its id."""
    table = read_table(path)
    vector = np.array(table.rows.vectors[row]) + 1
    with h5py.File(path, "r+") as file:
        file["embeddings"][row] = vector
        if fitted:
            content = table.rows.content_sha256[row].tobytes()
            file["row_crc32"][row] = row_crc32(table.ids[row], content, vector)
    return table.ids[row]


def test_sound_file_is_proven_and_the_keys_are_those_promised(file: Path, run: Run) -> None:
    name = f"cache/embeddings/photos/{file.name}"
    done = run("extract", "verify", name)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == name
    assert [line.split()[:2] for line in lines[1:-1]] == [["ok", check] for check in NAMES]
    assert "9 sound, 0 to do, 1 refused: 1 empty" in done.stdout
    assert lines[-1] == "sound: 11 passed"
    assert "error" not in done.stderr
    said = json.loads(run("extract", "verify", name, "--json", "--seed", "3").stdout)
    assert list(said) == ["file", "sound", "checks"]
    assert (said["file"], said["sound"]) == (name, True)
    assert [check["name"] for check in said["checks"]] == NAMES
    for check in said["checks"]:
        assert list(check) == ["name", "passed", "detail", "rows"]
        assert (check["passed"], check["rows"]) == (True, [])
        assert check["detail"]
        assert "\n" not in check["detail"]


def test_views_are_files_of_their_own_that_are_proven_too(file: Path, shop: Path, run: Run) -> None:
    words = ["extract", "--images", "photos", "--views", "2", "--json"]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [each["view"] and each["view"]["index"] for each in runs] == [None, 1, 2]
    assert runs[0]["file"].endswith(file.name)  # the plain one is reused
    assert (runs[0]["embedded"], runs[1]["embedded"]) == (0, runs[0]["reused"])
    view = shop / runs[1]["file"]
    assert view.parent == file.parent / "views"
    assert (shop / "results" / "latest" / "views.png").stat().st_size > 10_000
    shown = json.loads(run("extract", "show", str(view), "--json").stdout)
    assert shown["identity"]["view"] == {"policy": "catalog-1", "seed": 0, "index": 1}
    assert run("extract", "verify", str(view)).returncode == 0
    spoil(view, 2, fitted=True)
    assert not json.loads(run("extract", "verify", str(view), "--json").stdout)["sound"]


def test_no_other_command_takes_views_unless_told(shop: Path, run: Run) -> None:
    made = run("extract", "--images", "photos", "--views", "1", "--json")
    plain, view = (each["file"] for each in json.loads(made.stdout)["runs"])
    found = json.loads(run("analyze", "--clusters", "3", "--json").stdout)
    assert found["file"] == plain
    averaged = run("analyze", "--clusters", "3", "--views", "--score", "stability", "--json")
    assert averaged.returncode == 0, averaged.stderr
    told = json.loads(averaged.stdout)
    assert "each picture is averaged with 1 views" in told["notes"]
    assert "stability" in told["scores"]
    assert "stability" not in found["scores"]
    picture = str(next((shop / "photos" / "Mugs").glob("*.jpg")))
    asked = run("analyze", "similar", "--embeddings", view, "--query", picture)
    assert asked.returncode == 2
    assert "augmented views, not pictures as they are: use the file one folder up" in asked.stderr
    refused = run("extract", "--images", "photos", "--views", "2", "--output", "x.h5")
    assert refused.returncode == 2
    assert "--output names one file" in refused.stderr


@pytest.mark.parametrize("fitted", [False, True])
def test_wrong_row_is_named_and_what_to_type_next_mends_it(
    file: Path, run: Run, fitted: bool
) -> None:
    wrong = spoil(file, 4, fitted=fitted)
    check, more = ("recomputed", ["--restart"]) if fitted else ("check_sums", [])
    done = run("extract", "verify", str(file), "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["sound"]) == (1, False)
    failed = {each["name"]: each["rows"] for each in said["checks"] if each["passed"] is False}
    assert failed == {check: [wrong]}
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert f"is not sound ({check}): " in error
    assert all(word in error for word in ["python -m extract", *more])
    done = run("extract", "verify", str(file))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("FAILED"))
    assert lines[at].split()[1] == check
    assert lines[at + 1].strip() == wrong
    assert lines[-1].startswith("not sound: 10 passed, 1 failed; ")
    assert run("extract", "--images", "photos", *more).returncode == 0
    assert run("extract", "verify", str(file)).returncode == 0


def test_changed_picture_is_named(file: Path, shop: Path, run: Run) -> None:
    draw(shop / "photos" / "Mugs" / "3.jpg", "Vases", 77)
    done = run("extract", "verify", str(file), "--json")
    said = json.loads(done.stdout)
    failed = {each["name"]: each["rows"] for each in said["checks"] if each["passed"] is False}
    assert (done.returncode, failed) == (1, {"contents": ["Mugs/3.jpg"]})
    assert "--rehash" in done.stderr


def test_without_pictures_those_checks_are_null_and_with_images_they_are_made(
    file: Path, shop: Path, run: Run
) -> None:
    (shop / "photos").rename(shop.parent / "moved")
    done = run("extract", "verify", str(file), "--json")
    said = {each["name"]: each for each in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0
    unchecked = {name for name, each in said.items() if each["passed"] is None}
    assert unchecked == {"contents", "recomputed"}
    assert "--images DIR" in said["contents"]["detail"]
    text = run("extract", "verify", str(file)).stdout
    assert "not checked  contents" in text
    assert text.splitlines()[-1] == "sound: 9 passed, 2 not checked"
    done = run("extract", "verify", str(file), "--images", str(shop.parent / "moved"), "--json")
    assert {each["passed"] for each in json.loads(done.stdout)["checks"]} == {True}


@pytest.mark.parametrize("given", [False, True])
def test_folder_outside_the_workspace_is_opened_only_when_it_is_given(
    file: Path, shop: Path, run: Run, given: bool
) -> None:
    elsewhere = shop.parent / "elsewhere"
    (shop / "photos").rename(elsewhere)
    draw(elsewhere / "Mugs" / "3.jpg", "Vases", 77)
    with h5py.File(file, "r+") as opened:
        record = {**json.loads(opened.attrs["record"]), "images_root": str(elsewhere)}
        opened.attrs["record"] = canonical_json(with_check_sum(record))
    words = ["--images", str(elsewhere)] if given else []
    done = run("extract", "verify", str(file), "--json", *words)
    contents = next(c for c in json.loads(done.stdout)["checks"] if c["name"] == "contents")
    assert (done.returncode, contents["passed"]) == ((1, False) if given else (0, None))
    assert contents["rows"] == (["Mugs/3.jpg"] if given else [])


def test_random_weights_are_drawn_again(run: Run) -> None:
    words = ["--images", "photos", "--weights", "random", "--seed", "4", "--catalog", "drawn"]
    made = json.loads(run("extract", *words, "--json").stdout)["file"]
    said = json.loads(run("extract", "verify", made, "--json").stdout)
    passed = {check["name"]: check["passed"] for check in said["checks"]}
    assert passed == {**dict.fromkeys(NAMES, True), "golden": None}


def test_weights_file_that_only_the_file_names_is_not_opened(
    file: Path, shop: Path, run: Run
) -> None:
    (shop / "w.pth").write_bytes(b"never read")
    with h5py.File(file, "r+") as opened:
        identity = json.loads(opened.attrs["identity"])
        identity["weights"]["source"] = str(shop / "w.pth")
        opened.attrs["identity"] = canonical_json(identity)
        opened.attrs["identity_sha256"] = sha256_of(identity)
    done = run("extract", "verify", str(file), "--json")
    said = {each["name"]: each for each in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0
    unchecked = {name for name, each in said.items() if each["passed"] is None}
    assert unchecked == {"weights", "golden", "recomputed"}
    assert "give it with --weights FILE" in said["weights"]["detail"]
    done = run("extract", "verify", str(file), "--weights", "w.pth", "--json")
    said = {each["name"]: each for each in json.loads(done.stdout)["checks"]}
    assert (done.returncode, said["weights"]["passed"]) == (1, False)
    assert "w.pth cannot be read as weights" in said["weights"]["detail"]


def test_many_rows_are_cut_in_text_and_every_id_is_one_line() -> None:
    ids = tuple(f"a\n{i:02}.jpg" for i in range(25))
    text = Verdict("x\n.h5", (Check("finite", False, "25 rows", ids),), "type this").text()
    lines = text.splitlines()
    assert [line.strip() for line in lines[2:-2]] == [f"a\\n{i:02}.jpg" for i in range(20)]
    assert lines[-2].strip() == "and 5 more: --json lists them all"
    assert lines[-1] == "not sound: 1 failed; type this"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.h5"], 1, "no embeddings file"),
        (["FILE", "--images", "nowhere"], 2, "no folder nowhere"),
        (["FILE", "--weights", "none.pth"], 2, "no weights file none.pth"),
        (["FILE", "--weights", "products.csv"], 2, "leave --weights products.csv out"),
        ([], 2, "FILE"),
    ],
)
def test_what_cannot_be_verified_is_one_line(
    file: Path, run: Run, words: list[str], code: int, said: str
) -> None:
    done = run("extract", "verify", *(str(file) if word == "FILE" else word for word in words))
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize("kind", ["embeddings", "labels"])
def test_a_file_of_a_later_version_asks_for_an_upgrade_and_is_left_as_it_is(
    file: Path, run: Run, kind: str
) -> None:
    target = file if kind == "embeddings" else labels_path(file)
    with h5py.File(target, "r+") as opened:
        opened.attrs["format_version"] = 2
    before = {path: path.read_bytes() for path in (file, labels_path(file))}
    commands = [
        ("extract", "--images", "photos"),
        ("extract", "--images", "photos", "--restart"),
        ("analyze", "--embeddings", str(file), "--clusters", "2"),
        ("extract", "export", str(file)),
    ]
    if kind == "embeddings":
        commands += [("extract", "show", str(file)), ("extract", "verify", str(file))]
    for words in commands:
        done = run(*words)
        assert done.returncode == 1, words
        *_, line = done.stderr.splitlines()
        assert "upgrade sosie" in line, words
        assert "delete" not in line
        assert "move it away" not in line
    assert {path: path.read_bytes() for path in before} == before


def test_file_that_cannot_be_read_has_failed(file: Path, run: Run, workspace: Path) -> None:
    with h5py.File(file, "r+") as opened:
        status = opened["status"][:-1]
        del opened["status"]
        opened["status"] = status
    for name, why in ((str(file), "status has shape (9,) for 10 rows"), ("products.csv", "")):
        (workspace / "products.csv").touch()
        done = run("extract", "verify", name, "--json")
        assert done.returncode == 1
        result = json.loads(done.stdout)
        assert result["sound"] is False
        (check,) = result["checks"]
        assert (check["name"], check["passed"], check["rows"]) == ("readable", False, [])
        assert why in check["detail"]
        (line,) = done.stderr.splitlines()
        assert "move it away" in line
