"""Files of every geometry and pooling in one catalogue: each command takes and says which."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from served import serving
from small_catalogs import draw_noise, fill
from typed_commands import Said, Typist

from analyze.__main__ import main
from analyze.lookup.service.served_catalog import ServeOptions
from analyze.lookup.service.served_files import _by_key
from analyze.lookup.service.service import Service
from analyze.measures.alignment import distinct_names
from analyze.stored_files.default_file import the_one
from analyze.stored_files.selection import (
    Selection,
    choose_any,
    choose_by_recipe,
    choose_files,
    choose_one,
    choose_one_by_recipe,
)
from analyze.stored_files.stored_file import StoredFile
from extract.__main__ import main as extract_main
from extract.backbones.registry import find_model, load_backbone
from extract.catalog.catalog import Catalog, Level, list_folder
from extract.errors import UsageError
from extract.pipeline.embedding import embed_targets
from extract.pipeline.extraction import Options, Target
from extract.recipe import read_recipe
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_file import read_embeddings, read_provenance
from extract.storage.layout import lay_out
from extract.workspace import Workspace
from tests.faults.warm_server import WarmServer

pytestmark = pytest.mark.usefixtures("few_strengths")

NET, VIT, LITE = "timm:test_resnet", "timm:test_vit", "efficientnet_lite0"
MADE = [
    *(
        (NET, resize, pooling)
        for resize in ("crop", "squash", "pad")
        for pooling in ("auto", "mean")
    ),
    *((VIT, "pad", pooling) for pooling in ("auto", "cls", "mean")),
]
HEAD = ("--folds", "2", "--shuffles", "1", "--epochs", "2", "--resamples", "100")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Path]:
    """Embed twelve tall pictures with each backbone, geometry and pooling, at once."""
    root = tmp_path_factory.mktemp("workspace")
    for i in range(12):
        draw_noise(root / "shop" / ("cups", "hats")[i % 2] / f"{i}.png", i, size=(24, 60))
    workspace, listed = Workspace.find(root), list_folder(root / "shop")
    targets = []
    for model, resize, pooling in MADE:
        asked = "auto" if resize == "pad" else resize
        backbone = load_backbone(model, weights="random", pooling=pooling, resize=asked)
        path = workspace.embeddings_file("shop", model, backbone.provenance.short_identity)
        targets.append(Target(backbone, path))
    embed_targets(workspace, listed, targets, Options(runtime="eager", decoder="reference"), True)
    return {made: target.path for made, target in zip(MADE, targets, strict=True)}


@pytest.fixture
def root(files: dict[tuple[str, str, str], Path]) -> Path:
    return files[MADE[0]].parents[3]


@pytest.fixture
def typed(typist: Typist) -> Callable[..., Said]:
    """Run a command of analyze, or another, in this process."""

    def run(*words: str, at: Path | None = None, main: Callable[[], None] = main) -> Said:
        return typist(main, *words, at=at)

    return run


ONE_FILE = {
    "analyze": (),
    "similar": ("similar", "--query", "cups/0.png", "--top", "2"),
    "head": ("head", *HEAD),
    "explain": ("explain", "--target", "neighbor", "--id", "cups/0.png", "--method", "layercam"),
}


@pytest.mark.parametrize("command", ONE_FILE)
def test_a_command_of_one_file_takes_what_is_asked_for_else_the_default_and_says_so(
    command: str, typed: Callable[..., Said], files: dict[tuple[str, str, str], Path], root: Path
) -> None:
    words = (*ONE_FILE[command], "--model", NET)
    asked = typed(*words, "--resize", "crop", "--pooling", "mean", "--json")
    wanted = files[NET, "crop", "mean"]
    assert asked.json["file"] == wanted.relative_to(root).as_posix()
    assert (asked.json["resize"], asked.json["pooling"]) == ("crop", "mean")
    assert not any("taking" in note for note in asked.notes)

    plain = typed(*words)
    assert plain.code == 0, plain.notes
    taken = files[NET, "pad", "auto"].relative_to(root).as_posix()
    (said,) = [note for note in plain.notes if note.startswith("taking")]
    assert said.startswith(f"taking {taken} (pad head): there are crop head, ")
    assert said.endswith(" too, --resize and --pooling take them")
    assert plain.out.startswith(taken)
    assert f"{NET} pad" in plain.out
    assert read_provenance(wanted).short_identity not in plain.out.replace(taken, "")


@pytest.mark.parametrize("command", ["compare", "rank", "retrieval"])
def test_a_command_of_several_files_takes_all_and_tells_them_apart_by_words(
    command: str, typed: Callable[..., Said], files: dict[tuple[str, str, str], Path], root: Path
) -> None:
    beside = {
        "compare": ("--reduce", "none", "--seeds", "1", "--resamples", "200"),
        "rank": ("--resamples", "100"),
        "retrieval": ("--resamples", "100", "--worst", "1"),
    }[command]
    found = typed(command, *beside, "--resize", "pad", "--pooling", "auto", "--json").json
    both = [files[NET, "pad", "auto"], files[VIT, "pad", "auto"]]
    assert sorted(found["files"]) == sorted(p.relative_to(root).as_posix() for p in both)
    assert {(row["resize"], row["pooling"]) for row in found["rows"]} == {("pad", "head")}
    for pair in found.get("pairs", []):
        sides = [pair[f"{side}_{key}"] for side in "ab" for key in ("resize", "pooling")]
        assert sides == ["pad", "head"] * 2
    for table in (root / found["results"]).glob("*.csv"):
        header = next(csv.reader(table.open()))
        assert header[-1] in ("pooling", "b_pooling"), table

    some = (*beside, "--model", NET, "--pooling", "auto")
    plain = typed(command, *some)
    assert plain.code == 0, plain.notes
    assert not any("taking" in note for note in plain.notes)
    for resize in ("crop", "squash", "pad"):
        assert f"{NET} {resize}" in plain.out
    assert "head" not in plain.out.split("results:")[0].replace("headers", "")
    alone = typed(command, *beside, "--model", NET, "--resize", "squash", "--pooling", "mean")
    assert alone.code == 0, alone.notes
    assert "resize squash" in alone.out  # where no name says it


def test_the_catalogue_is_shown_by_any_file_and_says_by_which(
    typed: Callable[..., Said], files: dict[tuple[str, str, str], Path], root: Path
) -> None:
    found = typed("catalog", "--resize", "squash", "--pooling", "auto", "--json")
    wanted = files[NET, "squash", "auto"].relative_to(root).as_posix()
    assert (found.json["file"], found.json["resize"]) == (wanted, "squash")
    plain = typed("catalog")
    assert any("of 9 files of this catalogue taking" in note for note in plain.notes)


def test_a_head_reads_what_it_was_taught_and_rivals_are_named_by_words(
    typed: Callable[..., Said], files: dict[tuple[str, str, str], Path], root: Path
) -> None:
    crop = ("--model", NET, "--resize", "crop", "--pooling", "auto")
    rival = files[NET, "pad", "mean"]
    against = ("--against", VIT, "--against", str(rival))
    refused = typed("head", *HEAD, *crop, *against)
    assert refused.code == 2  # there is no crop of it
    assert f"--against {VIT}: no embeddings of {VIT} with --resize crop" in refused.notes[-1]
    found = typed("head", *HEAD, *crop, "--against", str(rival), "--json").json
    assert (found["resize"], found["pooling"]) == ("crop", "head")
    (other,) = found["against"]
    assert (other["resize"], other["pooling"]) == ("pad", "mean")
    crop_and_pad = [f"{NET} {resize} (random weights)" for resize in ("crop", "pad")]
    assert " and ".join(crop_and_pad) in other["verdict"]
    rows = list(csv.DictReader((root / found["results"] / "against.csv").open()))
    assert [row["name"] for row in rows] == crop_and_pad
    assert [(row["resize"], row["pooling"]) for row in rows] == [("crop", "head"), ("pad", "mean")]

    head = ("predict", "--head", found["head"])
    taken = files[NET, "crop", "auto"].relative_to(root).as_posix()
    for words in ((), ("--resize", "crop")):
        answer = typed(*head, *words, "--json")
        assert answer.json["embeddings"] == taken
        assert (answer.json["resize"], answer.json["pooling"]) == ("crop", "head")
        assert f"taking {taken} (random, crop, head), as the head was trained on" in answer.notes
    why = ("explain", "--head", found["head"], "--id", "hats/1.png", "--method", "layercam")
    assert typed(*why, "--json").json["file"] == taken
    other_one = typed(*head, "--model", NET, "--resize", "squash", "--pooling", "auto")
    assert other_one.code == 2
    assert "(random, crop, head), these are of" in other_one.notes[-1]
    assert "geometry differ" in other_one.notes[-1]
    both = typed(*head, "--images", "shop", "--resize", "crop")
    assert both.code == 2
    assert "leave --embeddings and --model, --resize and --pooling out" in both.notes[-1]


def test_what_is_joined_is_named_part_by_part(
    typed: Callable[..., Said], files: dict[tuple[str, str, str], Path]
) -> None:
    words = ("--model", NET, "--join", "--pooling", "auto")
    found = typed(*words, "--json").json
    assert sorted(found["resize"].split(" + ")) == ["crop", "pad", "squash"]
    assert found["pooling"] == "head"
    plain = typed(*words, "--resize", "model", "--model", VIT)
    assert plain.code == 2  # the vision transformer's own is not there
    named = [str(files[NET, resize, "auto"]) for resize in ("crop", "pad")]
    text = typed("--join", "--embeddings", named[0], "--embeddings", named[1]).out
    assert f"{NET} crop + {NET} pad, random weights" in text


def test_the_page_calls_files_by_words_and_knows_their_old_addresses(
    files: dict[tuple[str, str, str], Path], root: Path
) -> None:
    workspace = Workspace.find(root)
    paths = [files[NET, "crop", "auto"], files[NET, "pad", "auto"], files[NET, "pad", "mean"]]
    service = Service(workspace, [*paths, files[VIT, "pad", "cls"]], ServeOptions())
    try:
        assert service.keys == (
            f"{NET}-random-crop",
            f"{NET}-random-pad-head",
            f"{NET}-random-pad-mean",
            VIT,
        )
        old = f"{NET}-{read_provenance(paths[2]).short_identity}"
        assert service.key(old) == f"{NET}-random-pad-mean"
        about = service.catalogs[f"{NET}-random-pad-mean"].about()
        assert (about["resize"], about["pooling"]) == ("pad", "mean")
    finally:
        service.close()


@pytest.mark.service
@pytest.mark.slow
def test_serve_takes_the_options(root: Path, warm_server: WarmServer) -> None:
    words = ("--model", NET, "--resize", "crop", "--pooling", "auto")
    with serving(root, *words, warm=warm_server) as served, served.client() as client:
        (said,) = client.get("/api/health").json()["files"]
        assert (said["key"], said["resize"], said["pooling"]) == (NET, "crop", "head")
        found = client.get("/api/similar", params={"id": "cups/0.png"}).json()
        assert (found["resize"], found["pooling"]) == ("crop", "head")
        assert f"{NET} crop, random weights" in client.get("/").text


# which file is meant, by their heads alone


def stored(
    root: Path,
    resize: str,
    pooling: str = "mean",
    *,
    n_done: int = 4,
    weights: str = "pretrained",
    typed: str | None = None,
    ids: str = "abcd",
    catalog: str = "shop",
    **record: str,
) -> Path:
    """Write a file of efficientnet_lite0 as extract makes it, so many of four rows done."""
    labels = Level.from_values("class", list("xy" * len(ids))[: len(ids)])
    listed = Catalog(catalog, root / "shop", tuple(ids), tuple(ids), (labels,))
    identity = {
        "backbone": LITE,
        "weights": {"source": weights},
        "pooling": pooling,
        "geometry": find_model(LITE)[0]
        .preprocessing(typed or ("auto" if resize == "pad" else resize))
        .geometry,
    }
    provenance = Provenance(identity, ({"threads": 1},), {"model": LITE, **record})
    path = Workspace(root).embeddings_file(catalog, LITE, provenance.short_identity)
    lay_out(path, listed, provenance, 6)
    if n_done:
        fill(path, list(range(n_done)))
    return path


def test_default_else_the_only_complete_one_else_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="sosie")
    workspace = Workspace.find(tmp_path)
    crop = stored(tmp_path, "model")
    assert choose_one(workspace, Selection()) == crop
    assert not caplog.messages
    squash = stored(tmp_path, "squash", n_done=2)
    assert choose_one(workspace, Selection()) == crop  # neither is the default, one is complete
    relative = crop.relative_to(tmp_path).as_posix()
    assert caplog.messages == [
        f"taking {relative} (crop): there is squash too, --resize squash takes it"
    ]
    fill(squash, [2, 3])
    with pytest.raises(UsageError) as error:
        choose_one(workspace, Selection())
    assert "2 embeddings files, say which with --embeddings FILE or --resize: " in str(error.value)
    assert f"{relative} (pretrained, crop, mean)" in str(error.value)

    pad = stored(tmp_path, "pad", n_done=0)  # begun is enough: it is what runs go on with
    assert choose_one(workspace, Selection()) == pad
    assert choose_one(workspace, Selection(resize="auto")) == pad
    assert choose_one(workspace, Selection(resize="model")) == crop
    assert choose_one(workspace, Selection(resize="crop", pooling="auto")) == crop
    cls = stored(tmp_path, "pad", "cls")
    assert choose_one(workspace, Selection()) == pad
    assert choose_one(workspace, Selection(pooling="cls")) == cls
    assert choose_one(workspace, Selection(resize="squash")) == squash
    assert choose_files(workspace, Selection(pooling="auto")) == tuple(sorted([crop, pad, squash]))

    stored(tmp_path, "pad", weights="random")  # other weights are another question
    with pytest.raises(
        UsageError, match=r"3 embeddings files, say which with --emb.* or --pooling"
    ):
        choose_one(workspace, Selection(resize="pad"))
    with pytest.raises(
        UsageError, match=f"no embeddings of {LITE} with --resize squash --pooling "
    ):
        choose_one(workspace, Selection(models=(LITE,), resize="squash", pooling="cls"))
    with pytest.raises(UsageError, match=r"is pretrained, pad, cls: leave --resize crop out"):
        choose_one(workspace, Selection(embeddings=(cls,), resize="crop"))


def test_imported_files_are_called_so(tmp_path: Path) -> None:
    names = [f"backbone{i}" for i in range(6)]
    for catalog in ("attic", "cellar"):
        listed = Catalog(catalog, tmp_path, tuple("ab"), tuple("ab"), ())
        for name in names:
            identity = {"imported": name, "sha256": catalog}
            provenance = Provenance(identity, ({"threads": 1},), {"model": name})
            short = provenance.short_identity
            path = Workspace(tmp_path).embeddings_file(catalog, name, short)
            lay_out(path, listed, provenance, 6)
            fill(path, [0, 1])
    with pytest.raises(UsageError) as error:
        choose_one(Workspace.find(tmp_path), Selection(catalog="attic"))
    assert all(line.endswith(".h5 (imported)") for line in error.value.listed)
    with pytest.raises(UsageError) as error:
        choose_one(Workspace.find(tmp_path), Selection())
    held = ", ".join(names)
    assert error.value.listed == (f"attic: {held}", f"cellar: {held}")


def test_two_sizes_of_one_geometry_are_told_apart_in_pixels_and_each_can_be_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="sosie")
    workspace = Workspace.find(tmp_path)
    larger, own = stored(tmp_path, "pad"), stored(tmp_path, "pad", typed="pad")
    for asked, taken, words in (
        (None, larger, "(pad 256): there is pad 224 too, --resize pad takes it"),
        ("auto", larger, ""),
        ("pad", own, "(pad 224): there is pad 256 too, --resize auto takes it"),
    ):
        caplog.clear()
        assert choose_one(workspace, Selection(resize=asked)) == taken
        said = [f"taking {taken.relative_to(tmp_path).as_posix()} {words}"] if words else []
        assert caplog.messages == said
    several = choose_files(workspace, Selection(resize="pad"))
    assert set(several) == {larger, own}
    names = distinct_names([read_embeddings(path) for path in (larger, own)])
    assert names == (f"{LITE} pad 256", f"{LITE} pad 224")
    catalogs = [SimpleNamespace(embeddings=read_embeddings(path)) for path in (larger, own)]
    assert list(_by_key(catalogs)) == [f"{LITE}-pad-256", f"{LITE}-pad-224"]  # type: ignore[arg-type]
    crop = stored(tmp_path, "model")
    with pytest.raises(UsageError) as error:
        choose_one(workspace, Selection(resize="squash"))
    for words in ("(pretrained, pad 256, mean)", "(pretrained, pad 224, mean)", "crop, mean)"):
        assert words in str(error.value)
    names = distinct_names([read_embeddings(path) for path in (crop, larger)])
    assert names == (f"{LITE} crop", f"{LITE} pad")  # no more words than that takes


def test_a_file_behind_its_catalogue_is_said_and_not_the_one_that_any_will_do_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="sosie")
    workspace = Workspace.find(tmp_path)
    old, new = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
    first = stored(tmp_path, "pad", updated=old)
    begun = stored(tmp_path, "model", updated=new, ids="abcdef", n_done=2)
    done = stored(tmp_path, "squash", updated=new, ids="abcdef", n_done=6)
    for asked in (Selection(), Selection(embeddings=(first,)), Selection(resize="pad")):
        caplog.clear()
        assert choose_one(workspace, asked) == first
        (said,) = [note for note in caplog.messages if "behind" in note]
        assert f"{first.relative_to(tmp_path).as_posix()} is behind: it is of 4 pictures" in said
        assert ", filled later, of 6; bring it up to date with python -m extract" in said
    caplog.clear()
    assert choose_any(workspace, Selection()) == done
    assert caplog.messages == [
        f"of 3 files of this catalogue taking {done.relative_to(tmp_path).as_posix()}"
    ]
    assert choose_any(workspace, Selection(resize="model")) == begun
    caplog.clear()
    assert len(choose_files(workspace, Selection())) == 3
    assert [note.split()[0] for note in caplog.messages] == [first.relative_to(tmp_path).as_posix()]


def test_many_files_are_a_line_a_catalogue_and_many_of_one_a_line_each(
    tmp_path: Path, typed: Callable[..., Said]
) -> None:
    for catalog in ("attic", "cellar", "garden"):
        for resize in ("pad", "model", "squash"):
            stored(tmp_path, resize, catalog=catalog, n_done=0)
    said = typed(at=tmp_path)
    assert said.code == 2
    assert said.notes == [
        "error: 9 embeddings files of 3 catalogues, say which with --embeddings FILE, "
        "--catalog NAME or --resize:",
        *(f"  {name}: {LITE} (crop, pad, squash)" for name in ("attic", "cellar", "garden")),
    ]
    for weights in ("random", "other"):
        for resize in ("pad", "model", "squash"):
            stored(tmp_path, resize, catalog="attic", weights=weights, n_done=0)
    said = typed("--catalog", "attic", at=tmp_path)
    assert len(said.notes) == 1 + 9
    assert all(len(line) < 120 for line in said.notes)


def test_a_backbone_that_cannot_be_described_here_goes_by_the_words(tmp_path: Path) -> None:
    made = {
        resize: StoredFile(
            tmp_path / f"{resize}.h5",
            Provenance(
                {"geometry": {"resize": resize}, "pooling": "pooler"}, (), {"model": "hf:a/b"}
            ),
        )
        for resize in ("crop", "pad")
    }
    assert the_one(Workspace.find(tmp_path), list(made.values())) is made["pad"]
    assert made["pad"].fits("auto", "auto")
    assert not made["crop"].fits("auto", None)
    assert not any(file.fits("model", None) for file in made.values())  # nobody knows


def test_recipes_compare_geometries_and_leave_what_they_do_not_say(tmp_path: Path) -> None:
    workspace = Workspace.find(tmp_path)
    crop, pad = stored(tmp_path, "model"), stored(tmp_path, "pad")

    def recipe(said: str) -> Any:
        path = tmp_path / "r.toml"
        path.write_text(f'[extract]\nmodel = "{LITE}"\n{said}\n')
        return read_recipe(str(path))

    for said, wanted in (("auto", pad), ("model", crop), ("crop", crop)):
        of_it = recipe(f'resize = "{said}"\npooling = "auto"')
        assert choose_by_recipe(workspace, of_it, Selection()) == (wanted,)
    free = recipe("")
    assert set(choose_by_recipe(workspace, free, Selection())) == {crop, pad}
    assert choose_one_by_recipe(workspace, free, Selection()) == pad
    assert choose_one_by_recipe(workspace, free, Selection(resize="crop")) == crop
    with pytest.raises(UsageError, match="no embeddings made by the recipe r"):
        choose_by_recipe(workspace, recipe('resize = "squash"'), Selection())


def test_the_two_commands_of_the_card_work_in_an_old_workspace(
    tmp_path: Path, typed: Callable[..., Said]
) -> None:
    for i in range(12):
        draw_noise(tmp_path / "data" / ("cups", "hats")[i % 2] / f"{i}.png", i, size=(24, 60))

    def extract(*words: str) -> dict[str, Any]:
        return typed(*words, "--json", at=tmp_path, main=extract_main).json

    def analyzed() -> Said:
        return typed("--reduce", "tsne", at=tmp_path)

    old = extract("--resize", "model")  # what was the default
    assert extract()["file"] == old["file"]
    found = analyzed()
    assert (found.code, found.out.splitlines()[0]) == (0, old["file"])
    assert f"{LITE} crop · tsne" in found.out
    assert not any("taking" in note for note in found.notes)

    new = extract("--resize", "auto", "--batch-size", "4", "--limit", "8")
    assert new["to_do"] == 4
    found = analyzed()  # begun is enough: what is missing is said as ever
    assert (found.code, found.out.splitlines()[0]) == (0, new["file"])
    assert f"{LITE} pad · tsne" in found.out
    assert f"taking {new['file']} (pad): there is crop too, --resize crop takes it" in found.notes
    assert "left out: 4 to_do" in found.out
