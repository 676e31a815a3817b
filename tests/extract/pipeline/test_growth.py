"""A catalogue that grows: only what is new by content is computed, and every row stays its own."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_catalogs import (
    CountingBackbone,
    StopAfter,
    draw_noise,
    embedded_alone,
    tiny_backbone,
)

from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog, list_folder
from extract.errors import EmbeddingsFileError, SurveyStopped
from extract.pipeline import survey
from extract.pipeline.extraction import (
    Options,
    Report,
    Target,
    extract_embeddings,
    extract_together,
)
from extract.pipeline.monitor import Monitor
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.embeddings_table import EmbeddingsTable

pytestmark = pytest.mark.slow

FOUR = Options(batch_size=4, threads=1, workers=2, decoder="reference", runtime="eager")
REHASH = replace(FOUR, rehash=True)
FIELDS = ("vectors", "status", "row_crc32", "content_sha256", "size", "mtime_ns", "realisation")


Grow = Callable[..., tuple[Report, CountingBackbone]]


@pytest.fixture
def grow(pictures: Path, backbone: Backbone, tmp_path: Path) -> Grow:
    """Embed the folder as it is now into one file; the first time it has 21 pictures."""

    def embed(options: Options = FOUR, monitor: Monitor | None = None) -> tuple[Report, object]:
        counting = CountingBackbone(backbone)
        report = extract_embeddings(
            list_folder(pictures),
            counting,  # type: ignore[arg-type]
            tmp_path / "x.h5",
            options=options,
            monitor=monitor,
        )
        return report, counting

    embed()
    return embed  # type: ignore[return-value]


def content(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def assert_right(table: EmbeddingsTable, pictures: Path, backbone: Backbone) -> None:
    """Every listed picture has its own sound row: content, size, date and vector."""
    assert table.ids == list_folder(pictures).ids
    assert table.sound().all()
    for i, row_id in enumerate(table.ids):
        path = pictures / row_id
        assert table.rows.content_sha256[i].tobytes() == content(path)
        seen = path.stat()
        assert (table.rows.size[i], table.rows.mtime_ns[i]) == (seen.st_size, seen.st_mtime_ns)
        expected = embedded_alone(backbone, path)
        np.testing.assert_allclose(table.rows.vectors[i], expected, rtol=1e-5, atol=1e-6)


def test_renamed_picture_is_found_by_its_content(
    grow: Grow, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    before = read_embeddings(tmp_path / "x.h5")
    (pictures / "cups").rename(pictures / "bowls")
    report, counting = grow()
    assert (report.embedded, report.reused, counting.batches) == (0, 21, 0)
    assert "7 pictures were renamed" in report.notes[0]
    assert not any("dropped" in note for note in report.notes)
    after = read_embeddings(tmp_path / "x.h5")
    assert (
        after.vectors[after.ids.index("bowls/3.png")]
        == before.vectors[before.ids.index("cups/3.png")]
    ).all()
    assert_right(read_table(tmp_path / "x.h5"), pictures, backbone)


def test_two_pictures_that_change_names_change_rows(
    grow: Grow, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    one, other = pictures / "cups" / "1.png", pictures / "hats" / "2.png"
    one.rename(pictures / "kept.png")
    other.rename(one)
    (pictures / "kept.png").rename(other)
    report, counting = grow()
    assert (report.embedded, counting.batches) == (0, 0)
    assert_right(read_table(tmp_path / "x.h5"), pictures, backbone)


def test_pictures_written_anew_with_the_same_bytes_are_not_computed(
    grow: Grow, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    for path in pictures.rglob("*.png"):
        os.utime(path, ns=(1, 1))
    report, counting = grow()
    assert (report.reused, counting.batches) == (21, 0)
    assert_right(read_table(tmp_path / "x.h5"), pictures, backbone)
    before = (tmp_path / "x.h5").read_bytes()
    grow()
    assert (tmp_path / "x.h5").read_bytes() == before


def test_equal_bytes_are_embedded_once_and_share_a_vector(
    grow: Grow, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    draw_noise(pictures / "toys" / "0.png", 900)
    for copy in ("toys/1.png", "toys/2.png", "hats/9.png"):
        shutil.copy(pictures / "toys" / "0.png", pictures / copy)
    shutil.copy(pictures / "cups" / "0.png", pictures / "toys" / "3.png")
    report, counting = grow()
    assert (report.embedded, report.copied, report.reused) == (5, 4, 21)
    assert counting.pictures == 1
    assert "4 pictures have the same bytes as others" in report.notes[0]
    table = read_table(tmp_path / "x.h5")
    assert_right(table, pictures, backbone)
    shared = [table.ids.index(i) for i in ("toys/0.png", "toys/1.png", "toys/2.png", "hats/9.png")]
    assert len({table.rows.vectors[row].tobytes() for row in shared}) == 1


def test_copies_far_apart_share_a_vector_also_in_a_new_file(
    tmp_path: Path, backbone: Backbone
) -> None:
    """The copy is written from rows that the same run has finished slices ago."""
    folder = tmp_path / "many"
    for i in range(60):
        draw_noise(folder / f"{i:02d}.png", i % 23)
    counting = CountingBackbone(backbone)
    report = extract_embeddings(
        list_folder(folder),
        counting,  # type: ignore[arg-type]
        tmp_path / "x.h5",
        options=FOUR,
    )
    assert (report.embedded, report.copied, counting.pictures) == (60, 37, 23)
    table = read_table(tmp_path / "x.h5")
    assert_right(table, folder, backbone)
    for i in range(23, 60):
        assert (table.rows.vectors[i] == table.rows.vectors[i % 23]).all()


@pytest.mark.parametrize("after", [1, 2, 5, 9])
def test_stopped_among_copies_and_resumed_equals_uninterrupted(
    tmp_path: Path, backbone: Backbone, after: int
) -> None:
    folder = tmp_path / "many"
    for i in range(60):
        draw_noise(folder / f"{i:02d}.png", i % 23)
    catalog = list_folder(folder)
    whole = extract_embeddings(catalog, backbone, tmp_path / "whole.h5", options=FOUR)
    path = tmp_path / "x.h5"
    extract_embeddings(catalog, backbone, path, options=FOUR, monitor=StopAfter(after))
    extract_embeddings(catalog, backbone, path, options=FOUR)
    assert_equal_rows(read_table(whole.file), read_table(path))


def assert_equal_rows(one: EmbeddingsTable, other: EmbeddingsTable) -> None:
    for name in FIELDS:
        assert getattr(one.rows, name).tobytes() == getattr(other.rows, name).tobytes(), name


def test_new_pictures_fill_whole_batches_wherever_they_stand(grow: Grow, pictures: Path) -> None:
    for i, kind in enumerate(("cups", "hats", "rugs") * 3):
        draw_noise(pictures / kind / f"new{i}.png", 700 + i)
    report, counting = grow()
    assert (report.embedded, counting.pictures, counting.batches) == (9, 9, 3)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_grown_stopped_and_resumed_equals_grown_at_once(
    grow: Grow, pictures: Path, tmp_path: Path, after: int
) -> None:
    for i, kind in enumerate(("cups", "hats", "rugs") * 5):
        draw_noise(pictures / kind / f"new{i}.png", 700 + i)
    shutil.copy(tmp_path / "x.h5", tmp_path / "start.h5")
    grow()
    shutil.move(tmp_path / "x.h5", tmp_path / "whole.h5")
    shutil.move(tmp_path / "start.h5", tmp_path / "x.h5")
    stopped, _ = grow(monitor=StopAfter(after))
    assert stopped.stopped
    _, counting = grow()
    assert counting.pictures == stopped.to_do
    assert counting.batches == -(-stopped.to_do // 4)
    assert_equal_rows(read_table(tmp_path / "whole.h5"), read_table(tmp_path / "x.h5"))


def test_rehash_believes_bytes_and_no_dates(
    grow: Grow, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = pictures / "hats" / "2.png"
    seen, size = path.stat(), path.stat().st_size
    for seed in range(500, 600):  # another picture of as many bytes, put back to the same date
        draw_noise(path, seed)
        if path.stat().st_size <= size:
            break
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert grow()[1].batches == 0
    report, counting = grow(REHASH)
    assert (report.embedded, report.reused, counting.pictures) == (1, 20, 1)
    assert_right(read_table(tmp_path / "x.h5"), pictures, backbone)
    before = (tmp_path / "x.h5").read_bytes()
    assert grow(REHASH)[1].batches == 0
    assert (tmp_path / "x.h5").read_bytes() == before


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_a_catalogue_only_new_content_is_computed(
    grow: Grow, pictures: Path, backbone: Backbone, tmp_path: Path, seed: int
) -> None:
    """Additions, changes, removals, renames, swaps, copies and touches, round after round."""
    rng = random.Random(seed)
    fresh_seed = iter(range(10_000 * (seed + 1), 10_000 * (seed + 2)))
    for _ in range(4):
        table = read_table(tmp_path / "x.h5")
        known = {table.rows.content_sha256[i].tobytes() for i in np.flatnonzero(table.sound())}
        for _ in range(rng.randrange(1, 9)):
            disturb(pictures, rng, fresh_seed)
        new = {content(path) for path in pictures.rglob("*.png")} - known
        report, counting = grow(rng.choice([FOUR, REHASH]))
        assert counting.pictures == len(new)
        assert report.n_images == report.embedded + report.reused
        assert_right(read_table(tmp_path / "x.h5"), pictures, backbone)


def disturb(pictures: Path, rng: random.Random, seeds: object) -> None:
    """Do one of the things that happen to catalogues."""
    here = sorted(pictures.rglob("*.png"))
    one, other = rng.sample(here, 2)
    name = pictures / rng.choice(("cups", "hats", "toys")) / f"{rng.randrange(10**6)}.png"
    name.parent.mkdir(exist_ok=True)
    what = rng.choice(("add", "change", "remove", "rename", "swap", "copy", "touch", "over"))
    if what in ("add", "change"):
        draw_noise(name if what == "add" else one, next(seeds))  # type: ignore[call-overload]
    elif what == "remove" and len(here) > 5:
        one.unlink()
    elif what == "rename":
        one.rename(name)
    elif what == "swap":
        one.rename(pictures / "away")
        other.rename(one)
        (pictures / "away").rename(other)
    elif what == "copy":
        shutil.copy2(one, name)
    elif what == "touch":
        os.utime(one, ns=(rng.randrange(10**15), rng.randrange(10**15)))
    elif what == "over":
        shutil.copy2(one, other)


def test_labels_that_change_touch_no_picture(
    grow: Grow, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = list_folder(pictures)
    bare = Catalog(catalog.name, catalog.images_root, catalog.ids, catalog.paths)
    opened: list[object] = []
    for module in ("pipeline.survey", "loading.picture"):
        monkeypatch.setattr(f"extract.{module}.read_row", lambda *words: opened.append(words))
    before = (tmp_path / "x.h5").read_bytes()
    extract_embeddings(bare, tiny_backbone(), tmp_path / "x.h5", options=FOUR)
    assert opened == []
    assert (tmp_path / "x.h5").read_bytes() == before


def test_a_refused_picture_that_is_mended_by_a_copy_takes_its_vector(
    grow: Grow, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (pictures / "cups" / "3.png").write_bytes(b"broken")
    assert grow()[0].refused == {"unidentified": 1}
    shutil.copy(pictures / "hats" / "3.png", pictures / "cups" / "3.png")
    report, counting = grow()
    assert (report.embedded, report.copied, counting.pictures) == (1, 1, 0)
    assert_right(read_table(tmp_path / "x.h5"), pictures, backbone)


def test_a_damaged_row_whose_picture_was_touched_is_computed_again(
    grow: Grow, pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    table = read_table(tmp_path / "x.h5")
    with table.path.open("r+b") as file:
        file.seek(table.offsets["embeddings"] + 5 * 4 * table.n_dims)
        file.write(b"\1\2\3\4")
    for path in pictures.rglob("*.png"):
        os.utime(path, ns=(1, 1))
    report, counting = grow()
    assert (report.embedded, report.reused, counting.pictures) == (1, 20, 1)
    assert_right(read_table(tmp_path / "x.h5"), pictures, backbone)


def test_an_id_that_moves_to_a_picture_that_is_not_there_loses_its_vector(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    """A picture that is gone keeps its row; another one's row it never had."""
    root = pictures.resolve()
    for path, refused in (("cups/0.png", {}), ("cups/none.png", {"missing": 1})):
        catalog = Catalog("shop", root, ("sku",), (path,))
        report = extract_embeddings(catalog, backbone, tmp_path / "x.h5", options=FOUR)
        assert dict(report.refused) == refused


def test_copies_of_a_picture_that_gives_no_finite_numbers_are_refused_too(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    with torch.no_grad():
        backbone.model[0].bias.fill_(float("inf"))
    shutil.copy(pictures / "cups" / "0.png", pictures / "cups" / "00.png")
    report = extract_embeddings(list_folder(pictures), backbone, tmp_path / "x.h5", options=FOUR)
    assert report.refused == {"not_finite": 22}
    assert np.isnan(read_table(report.file).rows.vectors).all()


def test_each_file_of_a_pass_knows_only_its_own_contents(pictures: Path, tmp_path: Path) -> None:
    """One file has the original of a copy, the other does not: each gets its own vector."""
    backbones = [tiny_backbone(0), tiny_backbone(1)]
    targets = [Target(b, tmp_path / f"{i}.h5") for i, b in enumerate(backbones)]
    extract_embeddings(list_folder(pictures), backbones[0], targets[0].path, options=FOUR)
    shutil.copy(pictures / "hats" / "1.png", pictures / "cups" / "copy.png")
    first, second = extract_together(list_folder(pictures), targets, options=FOUR)
    assert (first.embedded, first.copied) == (1, 1)
    assert (second.embedded, second.copied) == (22, 1)
    for target in targets:
        assert_right(read_table(target.path), pictures, target.backbone)


def test_several_files_have_each_picture_hashed_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [Target(tiny_backbone(i), tmp_path / f"{i}.h5") for i in range(3)]
    extract_together(list_folder(pictures), targets, options=FOUR)
    read: list[str] = []
    own = survey.read_row

    def counted(catalog: Catalog, row: int) -> object:
        read.append(catalog.paths[row])
        return own(catalog, row)

    monkeypatch.setattr(survey, "read_row", counted)
    extract_together(list_folder(pictures), targets, options=REHASH)
    assert sorted(read) == sorted(list_folder(pictures).paths)


def test_rows_computed_in_another_way_say_so(grow: Grow, pictures: Path, tmp_path: Path) -> None:
    draw_noise(pictures / "cups" / "new.png", 900)
    shutil.copy(pictures / "cups" / "0.png", pictures / "cups" / "copy.png")
    report, _ = grow(Options(batch_size=3, threads=1))
    note = next(note for note in report.notes if "ways" in note)
    assert "22 on cpu, batches of 4" in note  # the copy is as its original
    assert "1 on cpu, batches of 3" in note
    table = read_table(tmp_path / "x.h5")
    rows = {
        table.provenance.execution_configs[i]["batch_size"]: len(found)
        for i, found in table.rows_by_execution_config().items()
    }
    assert rows == {4: 22, 3: 1}


def test_more_ways_than_a_row_can_name_are_refused_and_nothing_is_touched(
    grow: Grow, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of 256, which take long to fill
    monkeypatch.setattr("extract.pipeline.plan.MOST_EXECUTION_CONFIGS", 8)
    draw_noise(pictures / "cups" / "new.png", 900)
    before = (tmp_path / "x.h5").read_bytes()
    with pytest.raises(EmbeddingsFileError, match=r"no room for more: .*--restart"):
        grow(Options(batch_size=3, threads=1))
    assert (tmp_path / "x.h5").read_bytes() == before


def test_a_look_at_very_many_pictures_can_be_stopped(
    grow: Grow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extract.pipeline.survey.ROWS_AT_ONCE", 5)
    before = (tmp_path / "x.h5").read_bytes()
    with pytest.raises(SurveyStopped, match="same command again"):
        grow(REHASH, monitor=StopAfter(2))
    assert (tmp_path / "x.h5").read_bytes() == before
