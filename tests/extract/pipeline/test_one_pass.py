"""Several backbones in one pass: each file as if it were alone, each picture read once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_catalogs import CountingBackbone, draw_noise, tiny_backbone

from extract.backbones.registry import Backbone
from extract.catalog.catalog import list_folder
from extract.errors import EmbeddingsFileError, FileLocked, PictureRefused
from extract.files.file_lock import locked
from extract.images import decoders
from extract.inference.execution_config import FAST_WAYS
from extract.loading import picture as loading
from extract.pipeline.extraction import Options, Report, Target, extract_together
from extract.pipeline.monitor import Monitor
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.embeddings_table import ROW_FIELDS
from extract.storage.failures import failures_path, read_refusals
from extract.transforms.preprocessing import Preprocessing

N_PICTURES = 21  # of the fixture: three classes of seven
FOUR = Options(batch_size=4, threads=1, workers=2, decoder="reference", runtime="eager")


class Asked(Monitor):
    """Asks to stop after so many slices of all files together, and keeps what it was told."""

    def __init__(self, slices: int = 10**9) -> None:
        self.slices = slices
        self.durable = 0
        self.told: Mapping[str, Any] = {}

    def start(self, **told: Any) -> None:
        self.told = told

    def finished(self, n_rows: int) -> None:
        self.durable += n_rows

    def should_stop(self) -> bool:
        self.slices -= 1
        return self.slices <= 0


@pytest.fixture
def one() -> Backbone:
    return tiny_backbone(0, "one")


@pytest.fixture
def two() -> Backbone:
    """Other weights that see pictures of another size, squashed."""
    backbone = tiny_backbone(1, "two")
    seen = replace(backbone.preprocessing, size=40, resize="squash", crop_pct=1.0)
    return replace(backbone, preprocessing=seen)


@pytest.fixture
def three() -> Backbone:
    """Other weights that see what the first one sees."""
    return tiny_backbone(2, "three")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """List what is read (paths), decoded (bytes) and placed (what for)."""
    done: dict[str, list[Any]] = {"read": [], "decoded": [], "placed": []}
    read, decode, placed = loading.read_row, decoders.decode_picture, Preprocessing.placed

    def counted_read(catalog: Any, row: int) -> Any:
        done["read"].append(catalog.paths[row])
        return read(catalog, row)

    def counted_decode(content: bytes) -> Any:
        done["decoded"].append(content)
        return decode(content)

    def counted_placed(self: Preprocessing, picture: Any) -> np.ndarray:
        done["placed"].append(self)
        return placed(self, picture)

    monkeypatch.setattr(loading, "read_row", counted_read)
    monkeypatch.setattr(decoders, "decode_picture", counted_decode)
    monkeypatch.setattr(Preprocessing, "placed", counted_placed)
    return done


def together(
    folder: Path, targets: dict[Path, Backbone], options: Options = FOUR, **given: Any
) -> list[Report]:
    chosen = [Target(backbone, path) for path, backbone in targets.items()]
    return extract_together(list_folder(folder), chosen, options=options, **given)


def bits(path: Path) -> dict[str, bytes]:
    """Give all that is stored a row."""
    rows = read_table(path).rows
    return {name: getattr(rows, name).tobytes() for name in ("vectors", *ROW_FIELDS)}


def alone(folder: Path, backbone: Backbone, path: Path, options: Options = FOUR) -> dict[str, Any]:
    together(folder, {path: backbone}, options)
    return bits(path)


def sound_in(path: Path) -> list[int]:
    return np.flatnonzero(read_table(path).rows.status == 1).tolist()


def test_every_file_equals_bit_for_bit_that_of_a_run_alone(
    pictures: Path, one: Backbone, two: Backbone, three: Backbone, tmp_path: Path
) -> None:
    (pictures / "hats" / "2.png").write_bytes(b"broken")
    targets = {tmp_path / f"{b.name}.h5": b for b in (one, two, three)}
    reports = together(pictures, targets)
    assert [r.file for r in reports] == list(targets)
    assert {(r.embedded, r.n_images, r.to_do) for r in reports} == {(20, N_PICTURES, 0)}
    together_bits = [bits(path) for path in targets]
    for backbone, found in zip(targets.values(), together_bits, strict=True):
        assert found == alone(pictures, backbone, tmp_path / "alone" / f"{backbone.name}.h5")
    assert len({found["vectors"] for found in together_bits}) == 3


def test_every_picture_is_read_and_decoded_once_and_placed_once_a_preprocessing(
    pictures: Path,
    one: Backbone,
    two: Backbone,
    three: Backbone,
    tmp_path: Path,
    loads: dict[str, list[Any]],
) -> None:
    together(pictures, {tmp_path / f"{b.name}.h5": b for b in (one, two, three)})
    catalog = list_folder(pictures)
    assert sorted(loads["read"]) == sorted(catalog.paths)
    assert len(loads["decoded"]) == len(set(loads["decoded"])) == N_PICTURES
    assert one.preprocessing == three.preprocessing != two.preprocessing
    assert Counter(loads["placed"]) == {
        one.preprocessing: N_PICTURES,
        two.preprocessing: N_PICTURES,
    }


def test_files_begun_with_other_batches_and_threads_go_on_with_their_own(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path
) -> None:
    (pictures / "cups" / "5.png").write_bytes(b"broken")
    ways = {
        one: Options(batch_size=4, threads=1, workers=2, limit=4),
        two: Options(batch_size=6, threads=2, workers=2, limit=6),
    }
    targets = {tmp_path / f"{b.name}.h5": b for b in ways}
    for path, backbone in targets.items():
        together(pictures, {path: backbone}, ways[backbone])
    reports = together(pictures, targets, Options(workers=2))
    assert [(r.execution_config["batch_size"], r.execution_config["threads"]) for r in reports] == [
        (4, 1),
        (6, 2),
    ]
    for path, backbone in targets.items():
        whole = alone(
            pictures, backbone, tmp_path / "alone" / path.name, replace(ways[backbone], limit=None)
        )
        assert bits(path) == whole
        stored = read_table(path).provenance.execution_configs
        by_mode = [(r["decoder"], r["resize"]) for r in stored if "reading" not in r]
        assert by_mode == list(FAST_WAYS)


def test_a_complete_file_costs_nothing_beside_a_new_one(
    pictures: Path,
    one: Backbone,
    two: Backbone,
    tmp_path: Path,
    loads: dict[str, list[Any]],
) -> None:
    done, new = tmp_path / "done.h5", tmp_path / "new.h5"
    together(pictures, {done: one})
    before = done.read_bytes()
    for each in loads.values():
        each.clear()
    counting = {done: CountingBackbone(one), new: CountingBackbone(two)}
    reports = together(pictures, counting)  # type: ignore[arg-type]
    assert [(r.embedded, r.reused) for r in reports] == [(0, N_PICTURES), (N_PICTURES, 0)]
    assert [each.batches for each in counting.values()] == [0, 6]
    assert set(loads["placed"]) == {two.preprocessing}
    assert done.read_bytes() == before
    assert bits(new) == alone(pictures, two, tmp_path / "alone.h5")


def test_no_picture_is_read_or_placed_beyond_the_rows_that_are_due(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path, loads: dict[str, list[Any]]
) -> None:
    first, second = tmp_path / "one.h5", tmp_path / "two.h5"
    together(pictures, {first: one})
    together(pictures, {second: two}, replace(FOUR, limit=16))
    changed = list_folder(pictures).paths[18]
    draw_noise(pictures / changed, 999)
    together(pictures, {first: one}, replace(FOUR, limit=1))
    draw_noise(pictures / changed, 998, (31, 47))
    for each in loads.values():
        each.clear()
    reports = together(pictures, {first: one, second: two})
    assert [r.embedded for r in reports] == [1, 5]
    assert sorted(loads["read"]) == sorted(list_folder(pictures).paths[16:])
    assert Counter(loads["placed"]) == {one.preprocessing: 1, two.preprocessing: 5}
    vectors = read_embeddings(first).vectors
    expected = read_embeddings_of(pictures, one, tmp_path / "anew.h5")
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def read_embeddings_of(folder: Path, backbone: Backbone, path: Path) -> np.ndarray:
    together(folder, {path: backbone})
    return read_embeddings(path).vectors


def test_limit_counts_for_each_file(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path
) -> None:
    first, second = tmp_path / "one.h5", tmp_path / "two.h5"
    together(pictures, {second: two}, replace(FOUR, limit=8))
    reports = together(pictures, {first: one, second: two}, replace(FOUR, limit=4))
    assert [(r.embedded, r.to_do) for r in reports] == [(4, 17), (4, 9)]
    assert (sound_in(first), sound_in(second)) == ([*range(4)], [*range(12)])
    assert all("without --limit" in report.notes[0] for report in reports)


def test_a_refused_picture_is_refused_in_every_file_with_a_line_each(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path
) -> None:
    (pictures / "hats" / "0.png").write_bytes(b"")
    (pictures / "cups" / "3.png").write_bytes(b"broken")
    targets = {tmp_path / "one.h5": one, tmp_path / "two.h5": two}
    reports = together(pictures, targets)
    for report in reports:
        assert report.refused == {"empty": 1, "unidentified": 1}
        table = read_table(report.file)
        assert [(r["id"], r["code"]) for r in read_refusals(table)] == [
            ("cups/3.png", "unidentified"),
            ("hats/0.png", "empty"),
        ]
        assert np.isnan(table.rows.vectors[table.rows.status != 1]).all()
        lines = [json.loads(x) for x in failures_path(report.file).read_text().splitlines()]
        assert sorted(line["id"] for line in lines) == ["cups/3.png", "hats/0.png"]


def test_numbers_that_are_not_finite_refuse_the_row_in_their_own_file_alone(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path
) -> None:
    with torch.no_grad():
        one.model[0].bias.fill_(float("inf"))
    reports = together(pictures, {tmp_path / "one.h5": one, tmp_path / "two.h5": two})
    assert [dict(r.refused) for r in reports] == [{"not_finite": N_PICTURES}, {}]
    assert bits(tmp_path / "two.h5") == alone(pictures, two, tmp_path / "alone.h5")


def test_stop_at_the_first_refusal_keeps_what_is_finished_in_every_file(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path
) -> None:
    targets = {tmp_path / "one.h5": one, tmp_path / "two.h5": two}
    broken = pictures / "hats" / "3.png"  # row 10: the third slice of four
    good = broken.read_bytes()
    broken.write_bytes(b"broken")
    with pytest.raises(PictureRefused, match=r"hats/3\.png: unidentified"):
        together(pictures, targets, replace(FOUR, stop_at_refusal=True))
    for path in targets:
        assert sound_in(path)[:8] == [*range(8)]
        assert max(sound_in(path)) < 12
        assert 10 not in sound_in(path)
    broken.write_bytes(good)
    together(pictures, targets, replace(FOUR, stop_at_refusal=True))
    for path, backbone in targets.items():
        found, whole = bits(path), alone(pictures, backbone, tmp_path / "alone" / path.name)
        del found["mtime_ns"], whole["mtime_ns"]
        assert found == whole


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_stopped_and_resumed_gives_every_file_the_bits_of_an_uninterrupted_run(
    pictures: Path,
    one: Backbone,
    two: Backbone,
    tmp_path: Path,
    after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("extract.inference.execution_config.CPU_BATCH_SIZE", 5)
    (pictures / "cups" / "3.png").write_bytes(b"broken")
    targets = {tmp_path / "one.h5": one, tmp_path / "two.h5": two}
    together(pictures, {tmp_path / "two.h5": two}, Options(6, 1, limit=6))
    begun = len(sound_in(tmp_path / "two.h5")) + 1  # the broken one is finished too
    monitor = Asked(after)
    reports = together(pictures, targets, Options(threads=1, workers=2), monitor=monitor)
    left = sum(report.to_do for report in reports)
    assert any(report.stopped for report in reports)
    assert 0 < monitor.durable == 2 * N_PICTURES - begun - left < 2 * N_PICTURES - begun
    for report in reports:
        status = read_table(report.file).rows.status
        assert (status == 0).sum() == report.to_do
    together(pictures, targets, Options(workers=2))
    for (path, backbone), batch_size in zip(targets.items(), (5, 6), strict=True):
        whole = alone(pictures, backbone, tmp_path / "alone" / path.name, Options(batch_size, 1))
        assert bits(path) == whole


def test_the_monitor_is_told_of_the_work_of_all_files(
    pictures: Path, one: Backbone, two: Backbone, three: Backbone, tmp_path: Path
) -> None:
    targets = {tmp_path / f"{b.name}.h5": b for b in (one, two, three)}
    together(pictures, {tmp_path / "one.h5": one})
    together(pictures, {tmp_path / "two.h5": two}, replace(FOUR, limit=8))
    monitor = Asked()
    together(pictures, targets, monitor=monitor)
    told = monitor.told
    assert (told["n_to_do"], told["n_done"], told["n_rows"]) == (13 + 21, 8, 2 * N_PICTURES)
    assert len(told["execution_configs"]) == 2
    assert monitor.durable == 13 + 21


def test_a_second_run_at_once_is_told_and_writes_nothing(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path
) -> None:
    begun, taken, new = (tmp_path / f"{name}.h5" for name in ("begun", "taken", "new"))
    together(pictures, {begun: one, taken: two}, replace(FOUR, limit=4))
    before = {path: path.read_bytes() for path in tmp_path.glob("*.h5")}
    with locked(taken):
        for targets in ({begun: one, taken: two}, {new: one, taken: two}, {taken: two, new: one}):
            with pytest.raises(FileLocked, match=r"taken\.h5 is being written by process \d+"):
                together(pictures, targets, replace(FOUR, restart=True))
    assert {path: path.read_bytes() for path in tmp_path.glob("*.h5")} == before
    # the locks that it did get are given back
    assert [r.to_do for r in together(pictures, {begun: one, taken: two, new: one})] == [0, 0, 0]


def test_one_file_is_never_the_target_of_two_backbones(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path
) -> None:
    targets = [Target(one, tmp_path / "x.h5"), Target(two, tmp_path / "x.h5")]
    with pytest.raises(EmbeddingsFileError):
        extract_together(list_folder(pictures), targets, options=FOUR)
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("restart", [False, True], ids=["go on", "restart"])
@pytest.mark.parametrize("wrong", ["another identity", "not a file of ours"])
def test_a_file_that_cannot_be_filled_is_refused_before_another_one_is_touched(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path, wrong: str, restart: bool
) -> None:
    finished, new, taken = (tmp_path / f"{name}.h5" for name in ("finished", "new", "taken"))
    together(pictures, {finished: one})
    if wrong == "another identity":
        together(pictures, {taken: tiny_backbone(9, "nine")})
    else:
        taken.write_bytes(b"no HDF5")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.h5")}
    with pytest.raises(EmbeddingsFileError, match=r"taken\.h5"):
        together(
            pictures,
            {finished: one, new: tiny_backbone(5, "five"), taken: two},
            replace(FOUR, restart=restart),
        )
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.h5")} == before


def test_labels_are_stored_beside_every_file(
    pictures: Path, one: Backbone, two: Backbone, tmp_path: Path
) -> None:
    catalog = list_folder(pictures)
    targets = {tmp_path / "one.h5": one, tmp_path / "two.h5": two}
    together(pictures, targets)
    for path in targets:
        (level,) = read_embeddings(path).levels
        assert (level.name, level.values()) == ("class", catalog.levels[0].values())
    together(pictures, {tmp_path / "one.h5": one, tmp_path / "late.h5": tiny_backbone(3, "late")})
    (level,) = read_embeddings(tmp_path / "late.h5").levels
    assert level.values() == tuple(row_id.split("/")[0] for row_id in catalog.ids)


def test_the_record_says_how_fast_and_beside_how_many(
    pictures: Path, one: Backbone, two: Backbone, three: Backbone, tmp_path: Path
) -> None:
    targets = {tmp_path / f"{b.name}.h5": b for b in (one, two, three)}
    together(pictures, {tmp_path / "one.h5": one})
    together(pictures, {tmp_path / "two.h5": two}, replace(FOUR, limit=8))
    reports = together(pictures, targets, record={"images_root": "shop"})
    records = [read_table(path).provenance.record for path in targets]
    # the first was complete: its record is still that of the run that filled it
    assert [r["models_in_pass"] for r in records] == [1, 2, 2]
    assert [r["model"] for r in records] == ["one", "two", "three"]
    assert [r.get("images_root") for r in records] == [None, "shop", "shop"]
    rates = [r["images_per_second"] for r in records]
    assert rates[2] / rates[1] == pytest.approx(21 / 13, rel=0.01)
    # over the time of the pass, which is no longer than what the report counts
    assert rates[2] >= reports[2].images_per_second * 0.99
