"""HDF5 files as others might send them: embeddings files and labels files, spoiled one by one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from extract.catalog.catalog import Catalog, Level, ids_fingerprint
from extract.ids import bytes_of, text_of
from extract.storage.embeddings import canonical_json, row_crc32, sha256_of
from extract.storage.labels_file import labels_path, write_labels
from tests.faults.cases import READ, REFUSED, Case

IDS = ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg", "c/2.jpg")
N_DIMS = 6
LABELS = ("a", "a", "b", "b", None, "c")
NAMES = ("A", "NA", "", "=1", "\u2028", "é")
RECORD_BYTES = 8192
Spoil = Callable[[h5py.File, Path], None]


def vectors_of(n_rows: int = len(IDS)) -> np.ndarray:
    """Make the rows that every file holds where it is sound."""
    return np.random.default_rng(7).normal(size=(n_rows, N_DIMS)).astype(np.float32)


def write_file(
    path: Path,
    ids: Sequence[str] = IDS,
    *,
    identity: Any = None,
    record: str = '{"model":"tiny"}',
    execution_configs: str = '[{"batch_size":2,"threads":1}]',
    vectors: np.ndarray | None = None,
    **how: Any,
) -> None:
    """Write an embeddings file as the format's description has it, by HDF5 alone."""
    identity = {"backbone": "tiny"} if identity is None else identity
    rows = vectors_of(len(ids)) if vectors is None else vectors
    hashes = [hashlib.sha256(bytes_of(i)).digest() for i in ids]
    raw = [bytes_of(i) for i in ids]
    with h5py.File(path, "w", **how) as file:
        file.attrs["format"] = "sosie-embeddings"
        file.attrs["format_version"] = 1
        file.attrs["identity"] = canonical_json(identity)
        file.attrs["identity_sha256"] = sha256_of(identity)
        file.attrs["realisations"] = execution_configs
        file.attrs["catalog_fingerprint"] = ids_fingerprint(ids)
        file.attrs["record"] = record.ljust(RECORD_BYTES)
        for name in ("ids", "paths"):
            file[f"{name}/bytes"] = np.frombuffer(b"".join(raw), np.uint8)
            file[f"{name}/offsets"] = np.cumsum([0, *map(len, raw)], dtype=np.int64)
        file["embeddings"] = rows
        file["status"] = np.ones(len(ids), np.uint8)
        checks = [row_crc32(i, h, v) for i, h, v in zip(ids, hashes, rows, strict=True)]
        file["row_crc32"] = np.array(checks, np.uint32)
        file["content_sha256"] = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)
        for name in ("size", "mtime_ns"):
            file[name] = np.full(len(ids), 9, np.int64)
        file["realisation"] = np.zeros(len(ids), np.uint8)


def write_with_labels(path: Path) -> None:
    """Write an embeddings file and its labels."""
    write_file(path)
    levels = (Level.from_values("class", list(LABELS)),)
    catalog = Catalog("shop", path.parent, IDS, IDS, levels, {"name": NAMES})
    write_labels(labels_path(path), catalog)


def _made(**changes: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_file(folder / "odd.h5", **changes)
        return folder / "odd.h5"

    return make


def _spoiled(spoil: Spoil) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_file(folder / "elsewhere.h5")
        os.mkfifo(folder / "pipe")
        write_file(folder / "odd.h5")
        with h5py.File(folder / "odd.h5", "r+") as file:
            spoil(file, folder)
        return folder / "odd.h5"

    return make


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_file(folder / "odd.h5")
        content = (folder / "odd.h5").read_bytes()
        (folder / "odd.h5").write_bytes(change(content))
        return folder / "odd.h5"

    return make


def _replaced(name: str, value: Any = None, **how: Any) -> Spoil:
    """Give a dataset another value, type, shape or way of storage."""

    def spoil(file: h5py.File, _: Path) -> None:
        kept = file[name][()]
        del file[name]
        file.create_dataset(
            name, data=kept if value is None and "shape" not in how else value, **how
        )

    return spoil


def _linked(name: str, link: Callable[[Path], Any]) -> Spoil:
    def spoil(file: h5py.File, folder: Path) -> None:
        del file[name]
        file[name] = link(folder)

    return spoil


def _attribute(name: str, value: Any, holder: str = "/") -> Spoil:
    def spoil(file: h5py.File, _: Path) -> None:
        del file[holder].attrs[name]
        if value is not None:
            file[holder].attrs[name] = value

    return spoil


def _set(name: str, place: Any, value: Any) -> Spoil:
    def spoil(file: h5py.File, _: Path) -> None:
        file[name][place] = value

    return spoil


def _links() -> Iterator[tuple[str, Spoil]]:
    for name in ("embeddings", "status", "row_crc32", "ids", "ids/bytes", "paths", "paths/offsets"):
        yield (
            f"external link {name}",
            _linked(name, lambda f, n=name: h5py.ExternalLink(str(f / "elsewhere.h5"), n)),
        )
        yield f"soft link {name}", _linked(name, lambda _, n=name: h5py.SoftLink(f"/other/{n}"))
    for name in ("paths", "status"):
        yield (
            f"link to a pipe {name}",
            _linked(name, lambda f: h5py.ExternalLink(str(f / "pipe"), "/")),
        )
    yield "link to /dev/zero", _linked("paths", lambda _: h5py.ExternalLink("/dev/zero", "/"))
    yield "link to itself", _linked("ids", lambda _: h5py.SoftLink("/ids"))

    def root_as_ids(file: h5py.File, _: Path) -> None:
        del file["ids"]
        file["ids"] = file["/"]

    yield "ids are the root group", root_as_ids


def _types() -> Iterator[tuple[str, Spoil]]:
    n = len(IDS)
    rows = vectors_of()
    for kind in (">f4", "f8", "f2", "i4", "c8"):
        yield f"embeddings {kind}", _replaced("embeddings", rows.astype(kind))
    status: dict[str, Any] = {
        "i1": np.ones(n, "i1"),
        "bool": np.ones(n, bool),
        "opaque": np.ones(n, "V1"),
        "S1": np.full(n, b"\1", "S1"),
        "compound": np.ones(n, [("a", "u1")]),
        "array": np.ones((n, 2), "u1"),
    }
    for kind, values in status.items():
        yield f"status {kind}", _replaced("status", values)
    enum = h5py.enum_dtype({"todo": 0, "sound": 1}, basetype="u1")
    yield "status enumeration", _replaced("status", shape=(n,), dtype=enum)
    yield "status references", _replaced("status", shape=(n,), dtype=h5py.ref_dtype)
    yield "status variable length", _replaced("status", shape=(n,), dtype=h5py.vlen_dtype("u1"))
    yield "ids of strings", _replaced("ids/bytes", shape=(n,), dtype=h5py.string_dtype())
    yield "offsets i4", _replaced("ids/offsets", np.zeros(n + 1, "i4"))
    yield "offsets >i8", _replaced("ids/offsets", np.zeros(n + 1, ">i8"))
    yield "crc i4", _replaced("row_crc32", np.zeros(n, "i4"))

    def other_bias(file: h5py.File, _: Path) -> None:
        del file["embeddings"]
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_ebias(100)
        h5py.h5d.create(file.id, b"embeddings", kind, h5py.h5s.create_simple((n, N_DIMS)))

    yield "embeddings of another bias", other_bias


def _shapes() -> Iterator[tuple[str, Spoil]]:
    n = len(IDS)
    rows = vectors_of()
    for name, value in (("less", rows[1:]), ("more", np.vstack([rows, rows])), ("flat", rows[0])):
        yield f"embeddings {name}", _replaced("embeddings", value)
    yield "embeddings without numbers", _replaced("embeddings", np.zeros((n, 0), "f4"))
    yield "embeddings of three axes", _replaced("embeddings", rows[:, :, None])
    yield "embeddings turned", _replaced("embeddings", np.ascontiguousarray(rows[:, :5].T))
    for name in ("status", "row_crc32", "size", "mtime_ns", "realisation"):
        kind = {"status": "u1", "row_crc32": "u4", "realisation": "u1"}.get(name, "i8")
        yield f"{name} one less", _replaced(name, np.ones(n - 1, kind))
        yield f"{name} scalar", _replaced(name, np.array(1, kind))
    yield "status null", _replaced("status", h5py.Empty("u1"))
    yield "status none", _replaced("status", np.zeros(0, "u1"))
    yield "hash of 16 bytes", _replaced("content_sha256", np.zeros((n, 16), "u1"))
    yield "status is a group", lambda file, _: (file.pop("status"), file.create_group("status"))[0]
    yield (
        "ids are a dataset",
        lambda file, _: (file.pop("ids"), file.create_dataset("ids", data=1))[0],
    )
    for name in ("embeddings", "status", "ids", "ids/offsets", "paths/bytes", "content_sha256"):
        yield f"without {name}", lambda file, _, x=name: file.pop(x)


def _storage() -> Iterator[tuple[str, Spoil]]:
    n = len(IDS)
    for how in ("gzip", "lzf"):
        yield f"packed by {how}", _replaced("embeddings", compression=how)
    yield "shuffled", _replaced("embeddings", shuffle=True, chunks=True)
    yield "fletcher32", _replaced("status", fletcher32=True)
    yield "chunked", _replaced("embeddings", chunks=(2, 3))
    yield "resizable", _replaced("status", maxshape=(None,))
    yield (
        "bomb by gzip",
        _replaced(
            "embeddings", shape=(n, 10**9), dtype="f4", chunks=(1, 10**6), compression="gzip"
        ),
    )
    yield "never stored", _replaced("embeddings", shape=(n, N_DIMS), dtype="f4")
    yield "never stored, of 24 GB", _replaced("embeddings", shape=(n, 10**9), dtype="f4")
    yield "never stored, of 2^62", _replaced("embeddings", shape=(n, 2**58), dtype="f4")
    yield "status all of its fill value", _replaced("status", shape=(n,), dtype="u1", fillvalue=1)
    yield "ids never stored", _replaced("ids/offsets", shape=(10**12,), dtype="i8")
    for outside in ("/etc/passwd", "pipe", "/dev/zero"):
        yield (
            f"stored in {outside}",
            _replaced("status", shape=(n,), dtype="u1", external=[(outside, 0, n)]),
        )

    def virtual(file: h5py.File, folder: Path) -> None:
        del file["status"]
        layout = h5py.VirtualLayout((n,), "u1")
        layout[:] = h5py.VirtualSource(str(folder / "elsewhere.h5"), "status", shape=(n,))
        file.create_virtual_dataset("status", layout)

    yield "virtual", virtual

    def compact(file: h5py.File, _: Path) -> None:
        del file["status"]
        stored = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        stored.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((n,))
        made = h5py.h5d.create(file.id, b"status", h5py.h5t.STD_U8LE, space, stored)
        h5py.Dataset(made)[...] = 1

    yield "compact", compact


def _offsets() -> Iterator[tuple[str, Spoil]]:
    for pool in ("ids", "paths"):
        name = f"{pool}/offsets"
        yield f"{pool} fall", _set(name, 2, 0)
        yield f"{pool} beyond", _set(name, 3, 10**12)
        yield f"{pool} negative", _set(name, 1, -1)
        yield f"{pool} begin late", _set(name, 0, 1)
        yield f"{pool} end early", _set(name, -1, 40)
        yield f"{pool} overflow", _set(name, slice(1, 4), [2**63 - 1, -(2**63), -1])
        yield f"{pool} one more", _replaced(name, np.arange(len(IDS) + 2))
    yield "paths changed to more bytes", _replaced("paths/bytes", np.zeros(10**6, "u1"))
    yield "realisation beyond", _set("realisation", 3, 1)
    yield "another id", _set("ids/bytes", 0, ord("b"))


def _attributes() -> Iterator[tuple[str, Spoil]]:
    texts = ("format", "identity", "identity_sha256", "realisations", "catalog_fingerprint")
    for name in (*texts, "record", "format_version"):
        yield f"no {name}", _attribute(name, None)
        yield f"{name} null", _attribute(name, h5py.Empty("S1"))
        yield f"{name} array", _attribute(name, np.zeros(1000))
    for name in texts:
        yield f"{name} otherwise", _attribute(name, "otherwise")
        yield f"{name} no UTF-8", _attribute(name, np.bytes_(b"\xff\xfe"))
    for version in (0, 2, -1, 2**63, 1.0, "1", True, np.float64("nan")):
        yield f"version {version!r}", _attribute("format_version", version)
    for text in (
        "5",
        "null",
        "[]",
        "[5]",
        '["a"]',
        "{}",
        '[{"a":NaN}]',
        '[{"a":1e999}]',
        "[" * 9999,
    ):
        yield f"realisations {text[:12]}", _attribute("realisations", text)
    for value in ("-1", "true", '"8"', "1e3", "9" * 5000):
        yield f"batch size {value[:9]}", _attribute("realisations", f'[{{"batch_size":{value}}}]')
    yield "300 realisations", _attribute("realisations", json.dumps([{}] * 300))

    def reference(file: h5py.File, _: Path) -> None:
        file.attrs["record"] = file["status"].ref

    def huge(file: h5py.File, _: Path) -> None:
        file.attrs["identity"] = '{"a":"' + "x" * (4 << 20) + '"}'

    yield "record a reference", reference
    yield "identity of 4 MB", huge


def _odd_files() -> Iterator[tuple[str, Callable[[Path], Path]]]:
    for length in (0, 7, 8, 96, 500, 800, 2048, 5000, 12_000):
        yield f"cut at {length}", _bytes(lambda b, n=length: b[:n])
    yield "a text", _bytes(lambda _: b"hello\n")
    yield "a zip", _bytes(lambda _: b"PK\x05\x06" + bytes(18))
    yield "two signatures", _bytes(lambda b: b[:512] + b)
    yield "zeros", _bytes(lambda b: b[:8] + bytes(len(b)))
    yield "ones", _bytes(lambda b: b[:8] + b"\xff" * len(b))
    yield "backwards", _bytes(lambda b: b[::-1])

    def overlapping(content: bytes) -> bytes:
        nines = content.index((9).to_bytes(8, "little") * len(IDS))
        first = nines.to_bytes(8, "little")
        second = content.index((9).to_bytes(8, "little") * len(IDS), nines + 8 * len(IDS))
        return content.replace(second.to_bytes(8, "little"), first)

    yield "two datasets in one place", _bytes(overlapping)

    def user_link(folder: Path) -> Path:
        link = _linked("status", lambda f: h5py.ExternalLink(str(f / "elsewhere.h5"), "status"))
        path = _spoiled(link)(folder)
        content = path.read_bytes()
        external = b"\x01\x08\x40"  # version, flags, kind of link
        path.write_bytes(content.replace(external, b"\x01\x08\xc8"))
        return path

    yield "a link of a user's kind", user_link

    def pipe(folder: Path) -> Path:
        os.mkfifo(folder / "odd.h5")
        return folder / "odd.h5"

    def another(folder: Path) -> Path:
        with h5py.File(folder / "odd.h5", "w") as file:
            file["data"] = [1, 2]
        return folder / "odd.h5"

    def labels(folder: Path) -> Path:
        write_with_labels(folder / "odd.h5")
        return labels_path(folder / "odd.h5")

    def loop(folder: Path) -> Path:
        (folder / "odd.h5").symlink_to("odd.h5")
        return folder / "odd.h5"

    yield "a pipe", pipe
    yield "another program's", another
    yield "labels in its place", labels
    yield "a link to itself", loop
    for what, identity in {
        "a list": [1],
        "weights a text": {"weights": "x"},
        "geometry a list": {"geometry": []},
        "seed too large": {"weights": {"seed": 2**70}},
        "seed a text": {"weights": {"seed": "1"}},
        "seed negative": {"weights": {"seed": -1}},
    }.items():
        yield f"identity {what}", _made(identity=identity)
    for what, ids in {
        "doubled": ("a", "a"),
        "unsorted": ("b", "a"),
        "with NUL": ("a", "a\0b"),
        "none": (),
    }.items():
        yield f"ids {what}", _made(ids=ids, vectors=np.ones((len(ids), N_DIMS), np.float32))


def _sound_files() -> Iterator[tuple[str, Callable[[Path], Path]]]:
    """Files that are odd and right: all of them must be read, row by row."""
    yield "plain", _made()
    yield "latest HDF5", _made(libver="latest")
    yield "user block", _made(userblock_size=1024)
    yield "bytes behind it", _bytes(lambda b: b + b"\xff" * 1000)
    for what, ids in {
        "absolute": ("/etc/passwd", "/etc/shadow"),
        "above": ("../../x", "../y"),
        "of a terminal": ("\x1b[2J", "\x1b]0;x\x07", "\n"),
        "not UTF-8": (text_of(b"\xfe"), text_of(b"\xff")),
        "one empty": ("", "a"),
        "of one row": ("a",),
    }.items():
        order = sorted(ids, key=bytes_of)
        yield f"ids {what}", _made(ids=tuple(order))
    for what, record in {
        "hostile": json.dumps(
            {"model": "\x1b[31m\n$\\x", "command": "<script>", "images_root": "/"}
        ),
        "nested": "[" * 3000,
        "with NaN": '{"a":NaN,"b":1e999}',
        "of digits": "9" * 6000,
        "half a character": '{"model":"\\ud800"}',
    }.items():
        yield f"record {what}", _made(record=record)

    def loop(file: h5py.File, _: Path) -> None:
        file["more/loop"] = file["/"]
        file["more/pipe"] = h5py.ExternalLink("pipe", "/")

    def deep(file: h5py.File, _: Path) -> None:
        group = file
        for _level in range(1500):
            group = group.create_group("g")

    def many(file: h5py.File, _: Path) -> None:
        for i in range(2000):
            file[f"more{i}"] = i

    def committed(file: h5py.File, _: Path) -> None:
        file["type"] = np.dtype("u1")
        del file["status"]
        file.create_dataset("status", data=np.ones(len(IDS), "u1"), dtype=file["type"])

    def fixed(file: h5py.File, _: Path) -> None:
        for name in ("format", "identity", "catalog_fingerprint"):
            text = file.attrs[name]
            del file.attrs[name]
            file.attrs[name] = np.bytes_(text.encode())

    for name, spoil in {
        "a cycle of groups beside": loop,
        "deep groups beside": deep,
        "2000 datasets beside": many,
        "a committed type": committed,
        "texts of fixed length": fixed,
        "status unknown": _set("status", 2, 200),
        "a row not finite": _set("embeddings", (2, 3), np.nan),
        "a row of another hash": _set("content_sha256", (2, 3), 1),
        "a row of another sum": _set("row_crc32", 2, 1),
        "a row to do": _set("status", 2, 0),
    }.items():
        yield name, _spoiled(spoil)


def _named_weights() -> Iterator[tuple[str, Callable[[Path], Path]]]:
    """Identities that name what a query must not open or fetch."""
    for place in ("/etc/passwd", "../odd.h5", "https://x.invalid/w.pth", "file:///etc/passwd"):
        yield f"weights {place}", _made(identity={"weights": {"source": place}})
        record = json.dumps({"model": place})
        yield f"model {place}", _made(identity={"weights": {"source": "random"}}, record=record)
    for model in (
        "hf:../../etc",
        "hf:/etc",
        "hf:https://x.invalid/a",
        "timm:hf-hub:x/y",
        "timm:../x",
    ):
        identity = {"weights": {"source": "pretrained"}}
        yield f"model {model}", _made(identity=identity, record=json.dumps({"model": model}))


def embeddings_cases() -> list[Case]:
    """List embeddings files, refused and read."""
    spoils = [*_links(), *_types(), *_shapes(), *_storage(), *_offsets(), *_attributes()]
    refused = [(name, _spoiled(spoil)) for name, spoil in spoils] + list(_odd_files())
    return [
        *(Case("embeddings", name, make, REFUSED) for name, make in refused),
        *(Case("embeddings", name, make, READ) for name, make in _sound_files()),
        *(Case("again", name, make, REFUSED) for name, make in _named_weights()),
    ]


# labels


def _labels_spoiled(spoil: Spoil) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_with_labels(folder / "odd.h5")
        write_file(folder / "elsewhere.h5")
        os.mkfifo(folder / "pipe")
        with h5py.File(labels_path(folder / "odd.h5"), "r+") as file:
            del file.attrs["content_crc32"]  # as a forger would, or an older version
            spoil(file, folder)
        return folder / "odd.h5"

    return make


def _labels_instead(content: bytes | None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_with_labels(folder / "odd.h5")
        labels = labels_path(folder / "odd.h5")
        labels.unlink()
        if content is None:
            os.mkfifo(labels)
        else:
            labels.write_bytes(content)
        return folder / "odd.h5"

    return make


def _bad_labels() -> Iterator[tuple[str, Spoil]]:
    n, codes = len(IDS), "levels/0/codes"
    for name in ("levels", "columns", "levels/0", codes, "columns/0", "columns/0/bytes"):
        yield f"link {name}", _linked(name, lambda f: h5py.ExternalLink(str(f / "pipe"), "/"))
    for kind in ("i8", ">i4", "f4", "u4"):
        yield f"codes {kind}", _replaced(codes, np.zeros(n, kind))
    yield "codes beyond", _set(codes, 0, 99)
    yield "codes below", _set(codes, 0, -2)
    yield "codes one less", _replaced(codes, np.zeros(n - 1, "i4"))
    yield "codes packed", _replaced(codes, compression="gzip")
    yield "codes never stored", _replaced(codes, shape=(n,), dtype="i4")
    yield "categories fall", _set("levels/0/categories/offsets", 1, 99)
    yield "categories doubled", _set("levels/0/categories/bytes", 1, ord("a"))
    yield "column one less", _replaced("columns/0/offsets", np.zeros(n, "i8"))
    yield "column of 8 TB", _replaced("columns/0/offsets", shape=(10**12,), dtype="i8")
    yield "levels a dataset", lambda f, _: (f.pop("levels"), f.create_dataset("levels", data=1))[0]
    yield "levels 0 and 2", lambda f, _: f.copy("levels/0", "levels/2")
    yield "two columns of one name", lambda f, _: f.copy("columns/0", "columns/1")
    yield "no name", _attribute("name", None, "columns/0")
    yield "name an array", _attribute("name", np.zeros(9), "columns/0")
    yield "name a number", _attribute("name", 3, "levels/0")
    for name, value in (("format", "x"), ("format_version", 2), ("catalog_fingerprint", "0" * 64)):
        yield f"{name} otherwise", _attribute(name, value)
    yield "a wrong sum", lambda f, _: f.attrs.create("content_crc32", 1)
    yield "a sum of text", lambda f, _: f.attrs.create("content_crc32", "1")


def labels_cases() -> list[Case]:
    """List labels files, refused and read, each beside a sound embeddings file."""
    refused = [(name, _labels_spoiled(spoil)) for name, spoil in _bad_labels()]
    refused += [
        ("a pipe", _labels_instead(None)),
        ("empty", _labels_instead(b"")),
        ("a text", _labels_instead(b"hello")),
    ]
    read = {
        "as written": lambda file, _: None,
        "a cycle beside": lambda file, _: file.__setitem__("more", file["/"]),
    }
    return [
        *(Case("labels", name, make, REFUSED) for name, make in refused),
        *(Case("labels", name, _labels_spoiled(spoil), READ) for name, spoil in read.items()),
    ]
