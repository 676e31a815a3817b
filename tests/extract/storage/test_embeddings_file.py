"""The file format: readable by any HDF5 tool, proven row by row, wary of files from elsewhere."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from small_catalogs import fill, some_rows

from extract.catalog.catalog import Catalog, Level, ids_fingerprint
from extract.errors import EmbeddingsFileError, FileLocked
from extract.files.file_lock import locked
from extract.ids import bytes_of
from extract.storage.embeddings import Provenance, canonical_json, sha256_of
from extract.storage.embeddings_file import read_embeddings, read_provenance, read_table
from extract.storage.embeddings_table import EmbeddingsTable
from extract.storage.failures import read_refusals
from extract.storage.labels_file import labels_path, read_labels, write_labels
from extract.storage.layout import CarriedRows, lay_out
from extract.storage.row_writer import RowWriter

IDS = ("a/1.jpg", "a/\udcff.jpg", "b/2.jpg", "é/3.jpg")
EXECUTION_CONFIG = {"batch_size": 2, "threads": 1}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    ids = tuple(sorted(IDS, key=bytes_of))
    levels = (Level.from_values("class", ["a", None, "b", "é >> $x$"]),)
    return Catalog("shop", tmp_path, ids, ids, levels, {"name/unit": ("NA", "", "=1", "\u2028")})


@pytest.fixture
def path(tmp_path: Path, catalog: Catalog) -> Path:
    path = tmp_path / "cache" / "tiny-12345678.h5"
    provenance = Provenance({"backbone": "tiny"}, (EXECUTION_CONFIG,), {"model": "tiny"})
    lay_out(path, catalog, provenance, 6)
    return path


def test_any_hdf5_tool_reads_what_the_format_promises(path: Path, catalog: Catalog) -> None:
    rows = fill(path, [0, 2, 3])
    with h5py.File(path) as file:
        assert file.attrs["format"] == "sosie-embeddings"
        assert file.attrs["format_version"] == 1
        assert json.loads(file.attrs["identity"]) == {"backbone": "tiny"}
        assert json.loads(file.attrs["realisations"]) == [EXECUTION_CONFIG]
        record = json.loads(file.attrs["record"])
        assert record.pop("json_sha256") == sha256(b'{"model":"tiny"}').hexdigest()
        assert record == {"model": "tiny"}
        assert file.attrs["catalog_fingerprint"] == ids_fingerprint(catalog.ids)
        pool, offsets = file["ids/bytes"][()].tobytes(), file["ids/offsets"][()]
        assert [pool[a:b] for a, b in pairwise(offsets)] == [bytes_of(i) for i in catalog.ids]
        assert file["embeddings"].dtype == np.float32
        assert file["embeddings"].chunks is None
        assert file["status"][()].tolist() == [1, 0, 1, 1]
        assert np.isnan(file["embeddings"][1]).all()
        assert (file["embeddings"][[0, 2, 3]] == rows.vectors).all()
        beside = ("status", "content_sha256", "size", "mtime_ns", "realisation", "dimensions")
        raw = bytes_of(catalog.ids[2]) + b"".join(file[name][2].tobytes() for name in beside)
        assert file["fields_crc32"][2] == zlib.crc32(raw)
        assert file["fields_crc32"][1] == 0
        mapped = np.memmap(path, "<f4", "r", file["embeddings"].id.get_offset(), (4, 6))
        assert (mapped[2] == rows.vectors[1]).all()


def test_rows_are_not_finished_before_sync(path: Path) -> None:
    table = read_table(path)
    writer = RowWriter(table)
    writer.write(np.array([0, 1]), some_rows(table.ids[:2]))
    assert read_table(path).rows.status.tolist() == [0, 0, 0, 0]
    writer.sync()
    assert read_table(path).rows.status.tolist() == [1, 1, 0, 0]
    writer.close()


def flip(path: Path, dataset: str, row: int) -> None:
    table = read_table(path)
    with path.open("r+b") as file:
        values = getattr(table.rows, "vectors" if dataset == "embeddings" else dataset)
        file.seek(table.offsets[dataset] + row * (values.nbytes // len(values)))
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("dataset", ["embeddings", "content_sha256", "row_crc32"])
def test_one_flipped_bit_makes_a_row_unsound(path: Path, dataset: str) -> None:
    fill(path, [0, 1, 2, 3])
    assert read_table(path).sound().all()
    flip(path, dataset, 2)
    assert read_table(path).sound().tolist() == [True, True, False, True]
    vectors = read_embeddings(path)
    assert vectors.ids == tuple(i for n, i in enumerate(read_table(path).ids) if n != 2)
    assert vectors.left_out == {"damaged": 1}


@pytest.mark.parametrize("dataset", ["size", "mtime_ns", "realisation", "dimensions"])
def test_one_flipped_bit_beside_a_vector_makes_its_row_unsound(path: Path, dataset: str) -> None:
    fill(path, [0, 1, 2, 3], way=0)
    with h5py.File(path, "r+") as file:  # a second way, so that a row can be said to be of it
        ways = json.loads(file.attrs["realisations"]) * 2
        file.attrs["realisations"] = canonical_json(ways)
        file.attrs["realisations_sha256"] = sha256_of(ways)
    flip(path, dataset, 2)
    table = read_table(path)
    assert table.sound().tolist() == [True, True, False, True]
    assert table.counts()["damaged"] == 1
    assert {k: v.tolist() for k, v in table.rows_by_execution_config().items()} == {0: [0, 1, 3]}


def test_a_refusal_of_which_a_bit_flipped_is_damaged_and_no_other_reason(path: Path) -> None:
    table = read_table(path)
    rows = some_rows(table.ids)
    rows.status[1] = 7
    writer = RowWriter(table)
    writer.write(np.arange(4), rows)
    writer.sync()
    writer.close()
    assert read_table(path).counts()["refused"] == {"corrupt": 1}
    flip(path, "status", 1)  # 6: truncated
    counts = read_table(path).counts()
    assert (counts["refused"], counts["damaged"], counts["sound"]) == ({}, 1, 3)
    assert read_refusals(read_table(path)) == []


def test_a_changed_realisation_is_refused(path: Path) -> None:
    fill(path, [0])
    content = path.read_bytes()
    assert content.count(b'"batch_size":2') == 1
    path.write_bytes(content.replace(b'"batch_size":2', b'"batch_size":3'))
    for read in (read_table, read_provenance):
        with pytest.raises(EmbeddingsFileError, match="execution configs do not fit their hash"):
            read(path)


def test_a_dataset_whose_name_was_damaged_is_missed(path: Path) -> None:
    fill(path, [0, 1])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"dimensions\0", b"dimensionz\0"))
    with pytest.raises(EmbeddingsFileError, match="'dimensions' is not there"):
        read_table(path)


def test_a_record_that_was_changed_counts_as_empty_and_is_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_provenance(path).record == {"model": "tiny"}
    content = path.read_bytes()
    path.write_bytes(content.replace(b'{"json_sha256"', b'{"json_sha2S6"'))
    assert read_provenance(path).record == {}
    assert "its record is damaged" in caplog.text
    path.write_bytes(content.replace(b'"model":"tiny"', b'"model":"tinY"'))
    assert read_table(path).provenance.record == {}


def test_rows_of_earlier_versions_are_read_and_get_sums_when_the_catalogue_grows(
    path: Path, catalog: Catalog
) -> None:
    fill(path, [0, 1, 3])
    with h5py.File(path, "r+") as file:  # as earlier versions wrote it
        del file["fields_crc32"], file["dimensions"], file.attrs["realisations_sha256"]
    old = read_table(path)
    assert old.sound().tolist() == [True, True, False, True]
    assert "fields_crc32" not in old.offsets
    fill(path, [2])
    assert read_table(path).sound().all()
    carried = CarriedRows(read_table(path), np.arange(4), np.arange(4), stats(old))
    lay_out(path, catalog, old.provenance, 6, carried)
    assert read_table(path).sound().all()
    assert read_table(path).rows.fields_crc32.all()
    flip(path, "mtime_ns", 3)
    assert read_table(path).sound().tolist() == [True, True, True, False]


def test_two_rows_swapped_are_found(path: Path) -> None:
    rows = fill(path, [0, 1, 2, 3])
    table = read_table(path)
    with path.open("r+b") as file:
        for name in ("vectors", "content_sha256", "row_crc32"):
            values = getattr(rows, name)
            place = table.offsets["embeddings" if name == "vectors" else name]
            file.seek(place + values.nbytes // 4)
            file.write(np.ascontiguousarray(values[[2, 1]]).tobytes())
    assert read_table(path).sound().tolist() == [True, False, False, True]


def test_record_is_rewritten_in_place_and_a_torn_one_hurts_nothing(path: Path) -> None:
    fill(path, [0, 1])
    before = path.stat().st_size
    writer = RowWriter(read_table(path))
    writer.write_record({"model": "tiny", "images_per_second": 12.5})
    writer.close()
    assert read_table(path).provenance.record == {"model": "tiny", "images_per_second": 12.5}
    assert path.stat().st_size == before
    content = path.read_bytes()
    at = content.index(b'"images_per_second"')
    path.write_bytes(content[:at] + b"\xff#" + content[at + 2 :])
    table = read_table(path)
    assert table.provenance.record == {}
    assert table.sound().tolist() == [True, True, False, False]
    writer = RowWriter(table)
    writer.write_record({"model": "tiny"})
    writer.close()
    assert read_table(path).provenance.record == {"model": "tiny"}


def stats(table: EmbeddingsTable) -> np.ndarray:
    return np.stack([table.rows.size, table.rows.mtime_ns], axis=1)


def test_rows_are_carried_into_a_new_file_with_their_ids(path: Path, catalog: Catalog) -> None:
    rows = fill(path, [1, 3])
    old = read_table(path)
    ids = tuple(sorted([*catalog.ids, "a/0.jpg", "z.jpg"], key=bytes_of))
    grown = Catalog("shop", catalog.images_root, ids, ids)
    new = np.array([ids.index(old.ids[1]), ids.index(old.ids[3])])
    carried = CarriedRows(old, np.array([1, 3]), new, stats(old)[[1, 3]])
    lay_out(path, grown, old.provenance, 6, carried)
    table = read_table(path)
    assert np.flatnonzero(table.sound()).tolist() == new.tolist()
    assert (table.rows.vectors[new] == rows.vectors).all()


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("unable to extend")])
def test_failed_layout_leaves_the_old_file_and_nothing_else(
    path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fill(path, [0, 1, 2, 3])
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("extract.storage.layout.write_strings", fail)
    with pytest.raises(EmbeddingsFileError, match="--output"):
        lay_out(path, catalog, read_provenance(path), 6)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_record_too_long_is_shortened_and_stops_nothing(path: Path, catalog: Catalog) -> None:
    record = {"model": "tiny", "command": "詰" * 2_000, "images_root": "/shop"}
    lay_out(path, catalog, Provenance({"backbone": "tiny"}, ({},), record), 6)
    kept = read_provenance(path).record
    assert kept == {"model": "tiny", "command": None, "images_root": "/shop"}


def test_a_disk_without_room_is_refused_with_both_numbers(
    path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(EmbeddingsFileError, match=r"1,000 bytes free and .* needs [\d,]+"):
        lay_out(path.with_name("other.h5"), catalog, read_provenance(path), 6)


def test_second_writer_is_told_who_holds_the_file(path: Path) -> None:
    with locked(path), pytest.raises(FileLocked, match=r"process \d+ on .* since"), locked(path):
        pass
    with locked(path):
        pass


def _external_link(file: h5py.File, elsewhere: Path) -> None:
    del file["status"]
    file["status"] = h5py.ExternalLink(str(elsewhere), "status")


def _soft_link(file: h5py.File, _elsewhere: Path) -> None:
    file["status2"] = np.zeros(4, np.uint8)
    del file["status"]
    file["status"] = h5py.SoftLink("/status2")


def _external_storage(file: h5py.File, _elsewhere: Path) -> None:
    del file["status"]
    file.create_dataset("status", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def _virtual(file: h5py.File, elsewhere: Path) -> None:
    del file["status"]
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(str(elsewhere), "status", shape=(4,))
    file.create_virtual_dataset("status", layout)


def _filtered(file: h5py.File, _elsewhere: Path) -> None:
    del file["status"]
    file.create_dataset("status", data=np.zeros(4, "u1"), compression="gzip")


def _bomb(file: h5py.File, _elsewhere: Path) -> None:
    del file["embeddings"]
    file.create_dataset("embeddings", (4, 10**9), "f4", chunks=(1, 1000), compression="gzip")


def _never_stored(file: h5py.File, _elsewhere: Path) -> None:
    del file["embeddings"]
    file.create_dataset("embeddings", (4, 10**9), "f4")


def _other_type(file: h5py.File, _elsewhere: Path) -> None:
    del file["size"]
    file["size"] = np.zeros(4, "f8")


def _variable_length(file: h5py.File, _elsewhere: Path) -> None:
    del file["ids/bytes"]
    file.create_dataset("ids/bytes", (4,), h5py.string_dtype())


def _other_rows(file: h5py.File, _elsewhere: Path) -> None:
    del file["mtime_ns"]
    file["mtime_ns"] = np.zeros(3, "i8")


def _falling_offsets(file: h5py.File, _elsewhere: Path) -> None:
    file["ids/offsets"][1] = 10**12


def _other_ids(file: h5py.File, _elsewhere: Path) -> None:
    file["ids/bytes"][0] = ord("b")


def _other_identity(file: h5py.File, _elsewhere: Path) -> None:
    file.attrs["identity"] = '{"backbone":"other"}'


def _wide_hash(file: h5py.File, _elsewhere: Path) -> None:
    del file["content_sha256"]
    file["content_sha256"] = np.zeros((4, 16), np.uint8)


def _realisations_are_a_number(file: h5py.File, _elsewhere: Path) -> None:
    file.attrs["realisations"] = "5"


def _version_is_a_list(file: h5py.File, _elsewhere: Path) -> None:
    file.attrs["format_version"] = [1, 1]


def _overflowing_offsets(file: h5py.File, _elsewhere: Path) -> None:
    file["ids/offsets"][1:4] = [2**63 - 1, -(2**63), -1]


def _later_version(file: h5py.File, _elsewhere: Path) -> None:
    file.attrs["format_version"] = 2


HOSTILE = [
    _external_link,
    _soft_link,
    _external_storage,
    _virtual,
    _filtered,
    _bomb,
    _never_stored,
    _other_type,
    _variable_length,
    _other_rows,
    _falling_offsets,
    _other_ids,
    _other_identity,
    _wide_hash,
    _realisations_are_a_number,
    _version_is_a_list,
    _overflowing_offsets,
    _later_version,
]


@pytest.mark.parametrize("spoil", HOSTILE)
def test_hostile_files_are_refused_in_one_line(
    path: Path, tmp_path: Path, spoil: Callable[[h5py.File, Path], None]
) -> None:
    elsewhere = tmp_path / "elsewhere.h5"
    elsewhere.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        spoil(file, elsewhere)
    with pytest.raises(EmbeddingsFileError) as error:
        read_table(path)
    assert "\n" not in str(error.value)


def test_what_is_no_hdf5_file_is_refused_in_one_line(path: Path) -> None:
    for content in (b"", b"hello", path.read_bytes()[:700]):
        path.write_bytes(content)
        with pytest.raises(EmbeddingsFileError):
            read_table(path)
    with pytest.raises(EmbeddingsFileError, match="python -m extract"):
        read_table(path.with_name("no.h5"))


def test_no_sound_row_is_said_and_not_an_empty_answer(path: Path) -> None:
    with pytest.raises(EmbeddingsFileError, match="no sound row"):
        read_embeddings(path)


def test_labels_and_columns_come_back_as_they_were(path: Path, catalog: Catalog) -> None:
    labels = labels_path(path)
    write_labels(labels, catalog)
    found = read_labels(labels, catalog.ids_sha256, len(catalog))
    assert [(v.name, v.values()) for v in found.levels] == [
        (v.name, v.values()) for v in catalog.levels
    ]
    assert found.columns == catalog.columns
    with pytest.raises(EmbeddingsFileError, match="another list"):
        read_labels(labels, "0" * 64, len(catalog))
    labels.write_bytes(b"broken")
    with pytest.raises(EmbeddingsFileError, match="delete it"):
        read_labels(labels, catalog.ids_sha256, len(catalog))


def test_read_embeddings_joins_rows_with_their_labels(path: Path, catalog: Catalog) -> None:
    write_labels(labels_path(path), catalog)
    rows = fill(path, [0, 2, 3])
    vectors = read_embeddings(path)
    assert (vectors.vectors == rows.vectors).all()
    assert vectors.ids == tuple(catalog.ids[i] for i in (0, 2, 3))
    assert vectors.levels[0].values() == tuple(catalog.levels[0].values()[i] for i in (0, 2, 3))
    assert vectors.columns["name/unit"] == ("NA", "=1", "\u2028")
    assert vectors.left_out == {"to_do": 1}


def test_taking_rows_takes_everything_of_them(path: Path, catalog: Catalog) -> None:
    write_labels(labels_path(path), catalog)
    fill(path, list(range(len(catalog))))
    vectors = read_embeddings(path)
    rows = np.array([3, 0])
    taken = vectors.take(rows)
    assert taken.ids == (vectors.ids[3], vectors.ids[0])
    assert (taken.vectors == vectors.vectors[rows]).all()
    stored = read_table(path).rows.content_sha256
    assert taken.content_sha256 is not None
    assert (taken.content_sha256 == stored[rows]).all()
    for level, whole in zip(taken.levels, vectors.levels, strict=True):
        assert level.values() == (whole.values()[3], whole.values()[0])
    assert {k: v[0] for k, v in taken.columns.items()} == {
        k: v[3] for k, v in vectors.columns.items()
    }


@pytest.mark.parametrize("group", ["levels", "columns", "levels/0", "levels/0/codes"])
def test_hostile_labels_are_refused_before_a_link_is_followed(
    path: Path, catalog: Catalog, tmp_path: Path, group: str
) -> None:
    labels = labels_path(path)
    write_labels(labels, catalog)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with h5py.File(labels, "r+") as file:
        del file[group]
        file[group] = h5py.ExternalLink(str(tmp_path / "pipe"), "/")
    with pytest.raises(EmbeddingsFileError, match="link to elsewhere"):
        read_labels(labels, catalog.ids_sha256, len(catalog))


def test_carried_rows_are_copied_in_runs_whatever_moved(path: Path, catalog: Catalog) -> None:
    rows = fill(path, [0, 1, 2, 3])
    old = read_table(path)
    ids = (*catalog.ids[:1], "a/11.jpg", *catalog.ids[1:])
    ids = tuple(sorted(ids, key=bytes_of))
    new = np.array([ids.index(i) for i in old.ids])
    lay_out(
        path,
        Catalog("shop", catalog.images_root, ids, ids),
        old.provenance,
        6,
        CarriedRows(old, np.arange(4), new, stats(old)),
    )
    assert (read_table(path).rows.vectors[new] == rows.vectors).all()
    assert read_table(path).sound().sum() == 4


def test_status_is_written_only_after_rows_are_durable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_table(path)
    calls: list[str] = []
    place = {offset: name for name, offset in table.offsets.items()}
    pwrite, fdatasync = os.pwrite, os.fdatasync

    def spied_pwrite(file: int, data: bytes, offset: int) -> int:
        calls.append(place[offset])
        return pwrite(file, data, offset)

    def spied_fdatasync(file: int) -> None:
        calls.append("fdatasync")
        fdatasync(file)

    monkeypatch.setattr("os.pwrite", spied_pwrite)
    monkeypatch.setattr("os.fdatasync", spied_fdatasync)
    writer = RowWriter(table)
    writer.write(np.array([0, 1]), some_rows(table.ids[:2]))
    writer.sync()
    writer.close()
    assert set(calls[:8]) == {
        "embeddings",
        "row_crc32",
        "content_sha256",
        "size",
        "mtime_ns",
        "realisation",
        "dimensions",
        "fields_crc32",
    }
    assert calls[8:] == ["fdatasync", "status", "fdatasync"]
