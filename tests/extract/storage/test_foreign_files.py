"""Embeddings and labels files of others: no link asked, no crash, no silent change."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_catalogs import fill

from extract.catalog.catalog import Catalog, Level
from extract.errors import EmbeddingsFileError
from extract.files import sandboxed_open as rehearsal
from extract.files.sandboxed_open import crash_on_open
from extract.files.strict_json import read_json
from extract.storage.embeddings import Provenance, canonical_json, sha256_of
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.failures import failures_path, read_refusals
from extract.storage.labels_file import labels_path, read_labels, write_labels
from extract.storage.layout import lay_out

pytestmark = pytest.mark.slow

IDS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


@pytest.fixture(autouse=True)
def foreign_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of others are read by a copy of this process first, as by a user's command."""
    for module in ("embeddings_file", "labels_file"):
        monkeypatch.setattr(f"extract.storage.{module}.crash_on_open", crash_on_open)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    levels = (Level.from_values("class", ["x", "y", "x", None]),)
    catalog = Catalog("shop", tmp_path, IDS, IDS, levels, {"name": ("A", "B", "C", "D")})
    path = tmp_path / "tiny.h5"
    lay_out(path, catalog, Provenance({"backbone": "tiny"}, ({"threads": 1},), {}), 6)
    fill(path, [0, 1, 2, 3])
    write_labels(labels_path(path), catalog)
    return path


def refused(path: Path) -> str:
    with pytest.raises(EmbeddingsFileError) as error:
        read_embeddings(path)
    said = str(error.value)
    assert "\n" not in said
    assert path.name.split(".")[0] in said
    return said


@pytest.mark.parametrize("target", ["pipe", "no.h5"])
def test_an_external_link_is_not_even_asked_whether_it_holds(
    path: Path, tmp_path: Path, target: str
) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with h5py.File(path, "r+") as file:
        file["paths"] = h5py.ExternalLink(str(tmp_path / target), "/")
    assert "link to elsewhere" in refused(path)


def _same_bytes_twice(path: Path) -> None:
    """Let two numbers of one dataset's place lie: it then begins where another does."""
    with h5py.File(path) as file:
        size, mtime = (file[name].id.get_offset() for name in ("size", "mtime_ns"))
    content = path.read_bytes()
    places = content.count(size.to_bytes(8, "little"))
    assert places == 1
    path.write_bytes(content.replace(size.to_bytes(8, "little"), mtime.to_bytes(8, "little")))


def _enumeration(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["status"]
        file.create_dataset("status", data=np.ones(4, bool))


def _big_endian(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["size"]
        file["size"] = np.zeros(4, ">i8")


def _odd_float(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        values = file["embeddings"][()]
        del file["embeddings"]
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_ebias(100)
        space = h5py.h5s.create_simple(values.shape)
        h5py.Dataset(h5py.h5d.create(file.id, b"embeddings", kind, space))[...] = values


def _unknown_execution_config(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["realisation"][2] = 1


def _attribute(name: str, value: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value

    return spoil


def _identity(identity: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file.attrs["identity"] = canonical_json(identity)
            file.attrs["identity_sha256"] = sha256_of(identity)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_same_bytes_twice, "share bytes"),
        (_enumeration, "another type"),
        (_big_endian, "another type"),
        (_odd_float, "another type"),
        (_unknown_execution_config, "execution config"),
        (_attribute("realisations", "[]"), "0 execution configs"),
        (_attribute("realisations", '[{"batch_size":-1}]'), "batch_size"),
        (_attribute("realisations", '[{"threads":true}]'), "threads"),
        (_attribute("realisations", '[{"x":1e999}]'), "beyond all floats"),
        (_attribute("realisations", "[" * 900 + "]" * 900), "nested"),
        (_attribute("identity", "[" * 90_000), "nested"),
        (_attribute("format_version", np.float64("inf")), "whole number"),
        (_attribute("format_version", True), "whole number"),
        (_attribute("record", h5py.Empty("S1")), "one text"),
        (_attribute("record", np.zeros(100)), "one text"),
        (_identity({"weights": {"seed": 2**70}}), "seed"),
        (_identity({"geometry": [1]}), "geometry"),
    ],
)
def test_what_would_do_harm_later_is_refused_at_once(
    path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    spoil(path)
    assert why in refused(path)


def test_a_record_of_any_kind_stops_nothing(path: Path) -> None:
    for record in ("[" * 5_000, '{"a":NaN}', '{"a":1e999}', "9" * 5_000, "[1]", "\x1b]0;x\x07"):
        with h5py.File(path, "r+") as file:
            file.attrs["record"] = record
        assert read_embeddings(path).provenance.record == {}


def test_ids_out_of_order_are_refused_though_all_else_fits(path: Path) -> None:
    content = path.read_bytes()
    assert content.count(b"a.jpgb.jpg") == 1
    path.write_bytes(content.replace(b"a.jpgb.jpg", b"b.jpga.jpg"))
    assert "sorted" in refused(path)


def test_a_file_behind_a_user_block_is_read_whole(path: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.h5"
    with h5py.File(path) as file, h5py.File(moved, "w", userblock_size=512) as copy:
        copy.attrs.update(file.attrs)
        for name in file:
            file.copy(name, copy)
    assert read_table(moved).sound().all()
    np.testing.assert_array_equal(read_embeddings(moved).vectors, read_embeddings(path).vectors)


def test_what_a_record_says_is_shown_as_text(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["record"] = json.dumps({"model": "\x1b[2J\n"})
    assert read_embeddings(path).provenance.model == "\\x1b[2J\\n"


# labels


def test_one_changed_byte_of_a_label_is_found(path: Path) -> None:
    labels = labels_path(path)
    content = labels.read_bytes()
    with h5py.File(labels) as file:
        places = [
            file[name].id.get_offset() for name in ("levels/0/codes", "levels/0/categories/bytes")
        ]
        places += [file["columns/0/bytes"].id.get_offset(), content.index(b"class\0")]
    for place in places:
        labels.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert labels.name in refused(path)
    labels.write_bytes(content)
    assert read_embeddings(path).levels[0].values() == ("x", "y", "x", None)


def test_labels_of_a_version_without_check_sum_are_read(path: Path) -> None:
    with h5py.File(labels_path(path), "r+") as file:
        del file.attrs["content_crc32"]
    assert read_embeddings(path).columns == {"name": ("A", "B", "C", "D")}


def test_labels_that_are_no_file_are_not_waited_for(path: Path) -> None:
    labels = labels_path(path)
    labels.unlink()
    os.mkfifo(labels)
    assert "is not a file" in refused(path)


def test_two_columns_of_one_name_are_refused(path: Path) -> None:
    with h5py.File(labels_path(path), "r+") as file:
        del file.attrs["content_crc32"]
        file.copy("columns/0", "columns/1")
    with pytest.raises(EmbeddingsFileError, match="ValueError"):
        read_labels(labels_path(path), read_table_fingerprint(path), 4)


def read_table_fingerprint(path: Path) -> str:
    with h5py.File(path) as file:
        return str(file.attrs["catalog_fingerprint"])


def test_a_list_of_refusals_may_say_anything(path: Path) -> None:
    table = read_table(path)
    with path.open("r+b") as file:
        file.seek(table.offsets["status"] + 1)
        file.write(b"\4")
        file.seek(table.offsets["fields_crc32"] + 4)
        file.write(bytes(4))
    lines = ["[" * 5_000, '{"id": ["b.jpg"]}', "7", '{"id":"b.jpg","code":"empty","message":[1]}']
    failures_path(path).write_text("\n".join(lines))
    (listed,) = read_refusals(table)
    assert (listed["id"], listed["message"]) == ("b.jpg", "")
    failures_path(path).unlink()
    os.mkfifo(failures_path(path))
    assert len(read_refusals(table)) == 1


# rehearsals


def test_what_crashes_or_never_ends_does_so_in_a_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "CPU_SECONDS", 1)
    seen: list[int] = []

    def for_ever() -> None:
        while True:
            pass

    assert "crashes" in (crash_on_open(path, lambda: os.kill(os.getpid(), signal.SIGSEGV)) or "")
    assert "did not finish" in (crash_on_open(path, for_ever) or "")
    assert crash_on_open(path, lambda: seen.append(1)) is None
    assert crash_on_open(path, lambda: [][0]) is None  # comes again where it is reported
    assert crash_on_open(path, lambda: bytearray(8 << 30)) is None
    assert seen == []


def test_a_file_that_has_not_changed_is_tried_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    fork = os.fork

    def counted() -> int:
        tried.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", counted)
    for settled, forks in ((10**18, 2), (-1, 1)):  # a file of this moment may change in it
        monkeypatch.setattr(rehearsal, "SETTLED_NANOSECONDS", settled)
        tried.clear()
        for _ in range(2):
            assert crash_on_open(path, lambda: None) is None
        assert len(tried) == forks
    path.write_bytes(path.read_bytes() + b"\0")
    crash_on_open(path, lambda: None)
    assert len(tried) == 2


def test_a_file_on_which_the_library_crashes_is_refused_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "extract.storage.embeddings_file._look_over", lambda _: os.kill(os.getpid(), signal.SIGSEGV)
    )
    assert "crashes on it" in refused(path)


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", '{"a":1e400}', "[" * 33 + "]" * 33, "{"])
def test_json_that_python_alone_would_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_json(text)


def test_ordinary_json_is_read() -> None:
    value = {"a": [1, 2.5, None, {"b": "\ud800"}]}
    assert read_json(json.dumps(value)) == value


def test_a_path_that_was_changed_is_found(tmp_path: Path) -> None:
    """Nothing else would tell that another product's picture is shown."""
    paths = tuple(f"{name}.png" for name in "wxyz")
    path = tmp_path / "tiny.h5"
    lay_out(path, Catalog("shop", tmp_path, IDS, paths), Provenance({}, ({},)), 6)
    assert read_table(path).paths == paths
    with h5py.File(path, "r+") as file:
        file["paths/bytes"][0] = ord("x")
    with pytest.raises(EmbeddingsFileError, match="paths do not fit their hash"):
        read_table(path)
    with h5py.File(path, "r+") as file:  # a file of an earlier version has none
        del file.attrs["paths_sha256"]
    assert read_table(path).paths == ("x.png", *paths[1:])
