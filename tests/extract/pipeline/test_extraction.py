"""The loop: every row is its own picture's, nothing is lost, a resumed file equals a whole one."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from small_catalogs import (
    CountingBackbone,
    StopAfter,
    draw_noise,
    embedded_alone,
    tiny_backbone,
)

from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog, list_folder
from extract.errors import EmbeddingsFileError, PictureRefused
from extract.images.decoding import READINGS
from extract.inference.execution_config import variants
from extract.pipeline.extraction import Options, Report, extract_embeddings
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.failures import read_refusals
from extract.transforms.preprocessing import Preprocessing

FOUR = Options(batch_size=4, threads=1, workers=2, decoder="reference", runtime="eager")


def extract(folder: Path, backbone: Backbone, path: Path, options: Options = FOUR) -> Report:
    return extract_embeddings(list_folder(folder), backbone, path, options=options)


def test_every_row_is_the_vector_of_its_own_picture(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    report = extract(pictures, backbone, tmp_path / "x.h5")
    vectors = read_embeddings(report.file)
    assert report.embedded == len(vectors) == 21
    for row_id, vector in zip(vectors.ids, vectors.vectors, strict=True):
        np.testing.assert_allclose(vector, embedded_alone(backbone, pictures / row_id), atol=1e-6)
    assert len(np.unique(vectors.vectors.round(4), axis=0)) == 21


def test_what_is_cut_off_is_counted_over_all_rows_of_a_file(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    """Pictures of 40 x 30 keep four fifths of what a square keeps; wide ones lose two thirds."""
    draw_noise(pictures / "wide.png", 50, (120, 40))
    shutil.copy(pictures / "wide.png", pictures / "wide again.png")
    (pictures / "broken.png").write_bytes(b"broken")
    path = tmp_path / "x.h5"
    seen = extract(pictures, backbone, path).seen
    assert (seen.resize, seen.whole, seen.n_known, seen.n_mostly_cut_off) == ("crop", False, 23, 2)
    rows = read_table(path)
    known = dict(zip(rows.ids, rows.rows.dimensions.tolist(), strict=True))
    assert known["wide.png"] == known["wide again.png"] == [40, 120]
    assert known["broken.png"] == [0, 0]

    draw_noise(pictures / "high.png", 51, (20, 60))
    assert extract(pictures, backbone, path).seen.n_mostly_cut_off == 3
    padded = replace(backbone, preprocessing=backbone.preprocessing.resized("pad"))
    seen = extract(pictures, padded, tmp_path / "y.h5").seen
    assert (seen.whole, seen.n_known, seen.n_mostly_cut_off) == (True, 24, 0)


def test_a_file_without_heights_and_widths_is_filled_and_grown(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    """As earlier versions wrote them; resumed, it ends in the vectors of an uninterrupted one."""
    path, whole = tmp_path / "x.h5", tmp_path / "whole.h5"
    expected = extract(pictures, backbone, whole)
    extract(pictures, backbone, path, replace(FOUR, limit=8))
    with h5py.File(path, "r+") as file:
        del file["dimensions"], file["fields_crc32"], file.attrs["realisations_sha256"]
    resumed = extract(pictures, backbone, path)
    assert (resumed.embedded, resumed.seen.n_known) == (21 - 8, 0)
    for one in (path, whole):
        assert ("dimensions" in h5py.File(one)) == (one == whole)
    np.testing.assert_array_equal(read_embeddings(path).vectors, read_embeddings(whole).vectors)
    assert expected.seen.n_known == 21
    draw_noise(pictures / "wide.png", 50, (120, 40))
    grown = extract(pictures, backbone, path)
    assert (grown.embedded, grown.seen.n_known, grown.seen.n_mostly_cut_off) == (1, 1, 1)


def test_second_run_computes_nothing(pictures: Path, backbone: Backbone, tmp_path: Path) -> None:
    extract(pictures, backbone, tmp_path / "x.h5")
    before = (tmp_path / "x.h5").read_bytes()
    counting = CountingBackbone(backbone)
    report = extract(pictures, counting, tmp_path / "x.h5")  # type: ignore[arg-type]
    assert (report.embedded, report.reused, counting.batches) == (0, 21, 0)
    assert (tmp_path / "x.h5").read_bytes() == before


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(
    pictures: Path, backbone: Backbone, tmp_path: Path, after: int
) -> None:
    (pictures / "cups" / "3.png").write_bytes(b"broken")
    whole = read_table(extract(pictures, backbone, tmp_path / "whole.h5").file)
    monitor = StopAfter(after)
    catalog = list_folder(pictures)
    stopped = extract_embeddings(
        catalog, backbone, tmp_path / "x.h5", options=FOUR, monitor=monitor
    )
    assert stopped.stopped
    assert 0 < monitor.durable == 21 - stopped.to_do < 21
    resumed = read_table(extract(pictures, backbone, tmp_path / "x.h5").file)
    for name in ("vectors", "status", "row_crc32", "content_sha256", "size", "realisation"):
        one, other = getattr(whole.rows, name), getattr(resumed.rows, name)
        assert one.tobytes() == other.tobytes(), name


def test_a_row_keeps_its_bits_whatever_its_companions(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    with_all = read_embeddings(extract(pictures, backbone, tmp_path / "x.h5").file)
    for i in (0, 2, 3):
        (pictures / "cups" / f"{i}.png").write_bytes(b"broken")
    without = read_embeddings(extract(pictures, backbone, tmp_path / "y.h5").file)
    kept = [with_all.ids.index(row_id) for row_id in without.ids]
    assert len(kept) == 18
    assert with_all.vectors[kept].tobytes() == without.vectors.tobytes()


def test_broken_pictures_are_refused_and_the_rest_goes_on(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (pictures / "cups" / "3.png").write_bytes(b"broken")
    (pictures / "hats" / "0.png").write_bytes(b"")
    os.mkfifo(pictures / "rugs" / "pipe.jpg")
    report = extract(pictures, backbone, tmp_path / "x.h5")
    assert report.refused == {"not_regular": 1, "empty": 1, "unidentified": 1}
    assert (report.embedded, report.to_do) == (19, 0)
    table = read_table(report.file)
    assert [(r["id"], r["code"]) for r in read_refusals(table)] == [
        ("cups/3.png", "unidentified"),
        ("hats/0.png", "empty"),
        ("rugs/pipe.jpg", "not_regular"),
    ]
    assert np.isnan(table.rows.vectors[table.rows.status != 1]).all()
    lines = (tmp_path / "x.failures.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"] for line in lines} == {
        "cups/3.png",
        "hats/0.png",
        "rugs/pipe.jpg",
    }
    assert read_embeddings(report.file).left_out == {
        "not_regular": 1,
        "empty": 1,
        "unidentified": 1,
    }


def test_refused_pictures_are_tried_again_when_asked_or_changed(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    broken = pictures / "cups" / "3.png"
    good = broken.read_bytes()
    broken.write_bytes(b"broken")
    counting = CountingBackbone(backbone)
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path)
    assert extract(pictures, counting, path).refused == {"unidentified": 1}  # type: ignore[arg-type]
    retry = Options(batch_size=4, threads=1, retry_failed=True)
    assert extract(pictures, counting, path, retry).refused == {"unidentified": 1}  # type: ignore[arg-type]
    assert counting.batches == 0
    broken.write_bytes(good)
    assert extract(pictures, backbone, path).embedded == 1
    assert read_embeddings(path).ids == list_folder(pictures).ids


def test_stop_at_the_first_refusal_keeps_what_is_finished(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (pictures / "hats" / "3.png").write_bytes(b"broken")
    with pytest.raises(PictureRefused, match=r"hats/3\.png: unidentified"):
        extract(pictures, backbone, tmp_path / "x.h5", Options(4, 1, stop_at_refusal=True))
    assert len(read_embeddings(tmp_path / "x.h5")) == 11  # three slices of four, less the one
    with pytest.raises(PictureRefused, match=r"hats/3\.png"):
        extract(pictures, backbone, tmp_path / "x.h5", Options(4, 1, stop_at_refusal=True))


def test_grown_catalogue_computes_only_what_is_new(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    before = read_embeddings(extract(pictures, backbone, path).file)
    draw_noise(pictures / "cups" / "11.png", 999)
    draw_noise(pictures / "toys" / "0.png", 998)
    (pictures / "rugs" / "6.png").unlink()
    report = extract(pictures, backbone, path)
    assert (report.embedded, report.reused, report.n_images) == (2, 20, 22)
    after = read_embeddings(path)
    assert after.ids == list_folder(pictures).ids
    for row_id, vector in zip(after.ids, after.vectors, strict=True):
        if row_id in before.ids:
            assert (vector == before.vectors[before.ids.index(row_id)]).all()
        else:
            np.testing.assert_allclose(
                vector, embedded_alone(backbone, pictures / row_id), atol=1e-6
            )
    assert after.levels[0].values()[-1] == "toys"


def test_changed_picture_gets_its_new_vector(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path)
    draw_noise(pictures / "hats" / "2.png", 777, (50, 50))
    report = extract(pictures, backbone, path)
    assert (report.embedded, report.reused) == (1, 20)
    vectors = read_embeddings(path)
    row = vectors.ids.index("hats/2.png")
    expected = embedded_alone(backbone, pictures / "hats" / "2.png")
    np.testing.assert_allclose(vectors.vectors[row], expected, atol=1e-6)


def test_damaged_row_is_done_again_and_said(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path)
    before = path.read_bytes()
    table = read_table(path)
    at = table.offsets["embeddings"] + 5 * table.n_dims * 4
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\1\2\3\4")
    report = extract(pictures, backbone, path)
    assert report.embedded == 1
    assert "check sum" in report.notes[0]
    assert path.read_bytes()[at : at + 4] == before[at : at + 4]


def test_a_picture_that_is_gone_keeps_its_row(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    catalog = list_folder(pictures)
    path = tmp_path / "x.h5"
    extract_embeddings(catalog, backbone, path, options=FOUR)
    shutil.rmtree(pictures / "cups")  # a folder that is not mounted today
    report = extract_embeddings(catalog, backbone, path, options=FOUR)
    assert report.reused == 21
    assert "7 pictures are no longer there" in report.notes[0]


def test_listed_but_missing_picture_is_refused_and_later_found(
    tmp_path: Path, backbone: Backbone
) -> None:
    draw_noise(tmp_path / "a.png", 1)
    catalog = Catalog("shop", tmp_path.resolve(), ("a.png", "b.png"), ("a.png", "b.png"))
    path = tmp_path / "cache" / "x.h5"
    assert extract_embeddings(catalog, backbone, path, options=FOUR).refused == {"missing": 1}
    draw_noise(tmp_path / "b.png", 2)
    report = extract_embeddings(catalog, backbone, path, options=FOUR)
    assert (report.embedded, dict(report.refused)) == (1, {})


def test_limit_leaves_the_rest_to_do(pictures: Path, backbone: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    first = extract(pictures, backbone, path, Options(4, 1, limit=5))
    assert (first.embedded, first.to_do) == (8, 13)
    assert "without --limit" in first.notes[0]
    assert extract(pictures, backbone, path, Options(4, 1, limit=1)).embedded == 4
    assert extract(pictures, backbone, path).embedded == 9


def test_batch_size_and_threads_of_the_file_are_kept(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path, Options(batch_size=3, threads=1, limit=3))
    report = extract(pictures, backbone, path, Options())
    assert report.execution_config["batch_size"] == 3
    assert report.execution_config["threads"] == 1
    ways = read_table(path).provenance.execution_configs
    assert ways == variants(report.execution_config)
    assert len(ways) == 3 + 2 * len(READINGS)


def test_another_identity_never_shares_a_file(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path)
    with pytest.raises(EmbeddingsFileError, match="another identity"):
        extract(pictures, tiny_backbone(seed=1), path)


def test_rows_of_another_width_are_refused_before_a_picture_is_opened(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path, Options(limit=1))
    before = path.read_bytes()
    wider = replace(backbone, n_dims=9)
    with pytest.raises(
        EmbeddingsFileError, match=r"rows of 8 numbers, and tiny gives 9: .*--restart"
    ):
        extract(pictures, wider, path)
    assert path.read_bytes() == before


def test_numbers_that_are_not_finite_are_refused(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    with torch.no_grad():
        backbone.model[0].bias.fill_(float("inf"))
    report = extract(pictures, backbone, tmp_path / "x.h5")
    assert report.refused == {"not_finite": 21}
    assert np.isnan(read_table(report.file).rows.vectors).all()


def test_unwritable_place_is_refused_before_the_first_picture(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    counting = CountingBackbone(backbone)
    with pytest.raises(EmbeddingsFileError, match="--output"):
        extract(pictures, counting, tmp_path / "file" / "x.h5")  # type: ignore[arg-type]
    assert counting.batches == 0


def test_a_lost_write_stays_an_error_and_its_rows_stay_to_do(
    pictures: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reports lost pages once; a later fdatasync succeeds and proves nothing."""
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path, Options(4, 1, limit=4))
    fdatasync, calls = os.fdatasync, 0

    def fail_once(file: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the first is the reset's
            raise OSError(5, "Input/output error")
        fdatasync(file)

    monkeypatch.setattr("os.fdatasync", fail_once)
    monkeypatch.setattr("extract.pipeline.writing.SYNC_BATCHES", 1)
    with pytest.raises(EmbeddingsFileError, match="Input/output error"):
        extract(pictures, backbone, path)
    monkeypatch.undo()
    assert read_table(path).counts() == {"sound": 4, "to_do": 17, "refused": {}}
    assert extract(pictures, backbone, path).embedded == 17


def test_an_id_that_moves_to_another_picture_gets_its_vector(
    tmp_path: Path, backbone: Backbone
) -> None:
    for i in (1, 2):
        draw_noise(tmp_path / f"{i}.bmp", i)
        os.utime(tmp_path / f"{i}.bmp", ns=(0, 0))  # as an archive unpacks them
    path = tmp_path / "cache" / "x.h5"
    for names in (("1.bmp", "1.bmp"), ("1.bmp", "2.bmp")):
        catalog = Catalog("shop", tmp_path.resolve(), ("sku1", "sku2"), names)
        extract_embeddings(catalog, backbone, path, options=FOUR)
    expected = embedded_alone(backbone, tmp_path / "2.bmp")
    np.testing.assert_allclose(read_embeddings(path).vectors[1], expected, atol=1e-6)


def test_other_options_on_a_finished_file_change_nothing(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    extract(pictures, backbone, path)
    before = path.read_bytes()
    extract(pictures, backbone, path, Options(batch_size=2, threads=1))
    assert path.read_bytes() == before


def test_a_resize_that_fails_refuses_its_picture_alone(
    pictures: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = Preprocessing.placed

    def fail_on_square(self: Preprocessing, picture: Image.Image) -> np.ndarray:
        if picture.size == (50, 50):
            raise ValueError("square")
        return placed(self, picture)

    draw_noise(pictures / "cups" / "1.png", 5, (50, 50))
    monkeypatch.setattr(Preprocessing, "placed", fail_on_square)
    report = extract(pictures, backbone, tmp_path / "x.h5")
    assert (report.embedded, dict(report.refused)) == (20, {"corrupt": 1})


def test_options_below_one_are_refused() -> None:
    for name in ("batch_size", "threads", "workers", "limit"):
        with pytest.raises(ValueError, match=f"{name} must be 1 or more"):
            Options(**{name: 0})


def test_rows_that_are_dropped_and_labels_that_change_are_said(
    pictures: Path, backbone: Backbone, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    catalog = list_folder(pictures)
    assert extract(pictures, backbone, path).notes == ()
    bare = Catalog(catalog.name, catalog.images_root, catalog.ids, catalog.paths)
    notes = extract_embeddings(bare, backbone, path, options=FOUR).notes
    assert notes == ("labels and columns are written again (levels none; before: class)",)
    shutil.rmtree(pictures / "cups")
    notes = extract(pictures, backbone, path).notes
    assert notes == ("7 rows of pictures that are not listed any more are dropped",)
