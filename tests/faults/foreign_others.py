"""Tables, weights and caches as others might send them."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from analyze.array_cache import ArrayCache
from extract.files.strict_json import with_check_sum
from tests.faults.cases import MISSING, READ, REFUSED, Case

ROWS = "image,kind\n1.jpg,cup\n2.jpg,hat\n"
KEY = {"what": "numbers"}
ARRAY = np.arange(12, dtype=np.float32).reshape(4, 3)


class Malicious:
    """A pickle of it runs a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch was-here",)


def _written(name: str, content: bytes | str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        raw = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(raw)
        return folder / name

    return make


def _pipe(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


BAD_TABLES: dict[str, bytes | str] = {
    "empty": "",
    "blank": "\n\n \n",
    "only a byte order mark": b"\xef\xbb\xbf",
    "UTF-16": ROWS.encode("utf-16"),
    "UTF-16 without its mark": ROWS.encode("utf-16-le"),
    "UTF-32": ROWS.encode("utf-32"),
    "Latin-1": "image,kind\né.jpg,cup\n".encode("latin-1"),
    "half a character": b"image,kind\n\xed\xa0\x80.jpg,cup\n",
    "NUL in a cell": b"image,kind\n1\0.jpg,cup\n",
    "NUL alone": b"\0",
    "no header": "1.jpg,cup\n2.jpg,hat\n",
    "header alone": "image,kind\n",
    "first line empty": "\nimage,kind\n1.jpg,cup\n",
    "column missing": "picture,kind\n1.jpg,cup\n",
    "column doubled": "image,image\n1.jpg,2.jpg\n",
    "id doubled": "image,kind\n1.jpg,cup\n1.jpg,hat\n",
    "id empty": "image,kind\n,cup\n",
    "id of spaces": "image,kind\n   ,cup\n",
    "cells missing": "image,kind\n1.jpg\n",
    "cells more": "image,kind\n1.jpg,cup,more\n",
    "quote never closed": 'image,kind\n"1.jpg,cup\n2.jpg,hat\n',
    "quote in the header never closed": '"image,kind\n1.jpg,cup\n',
    "text behind a quote": 'image,kind\n"1.jpg"x,cup\n',
    "huge cell": "image,kind\n1.jpg," + "x" * 200_000,
    "huge header": "image,kind," + "x" * 200_000 + "\n1.jpg,a,b\n",
    "20,000 columns": "image,kind," + ",".join(map(str, range(20_000))) + "\n",
    "6 million columns": "image" + "," * 6_000_000 + "\n",
    "6 million cells": "image,kind\n1.jpg" + "," * 6_000_000 + "\n",
    "40 million commas": "," * 40_000_000,
    "several labels": 'image,kind\n1.jpg,"[""a"",""b""]"\n',
    "a label no text": 'image,kind\n1.jpg,"[""\\ud800""]"\n',
    "a zip": b"PK\x03\x04" + bytes(range(256)),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
}
GOOD_TABLES: dict[str, bytes | str] = {
    "plain": ROWS,
    "mark and line ends": b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode(),
    "semicolons": ROWS.replace(",", ";"),
    "tabs": ROWS.replace(",", "\t"),
    "formulas": "image,kind\n=1+1,@x\n-2,+3\n",
    "paths that leave": "image,kind\n../../etc/passwd,cup\n/etc/passwd,hat\n",
    "of a terminal": "image,kind\n\x1b[2J.jpg,cup\n\x07.jpg,hat\n",
    "a name of two lines": 'image,kind\n"1\n.jpg",cup\n2.jpg,hat\n',
    "names that look like none": "image,kind\nNA,None\nnull,nan\n",
    "a tower of brackets": 'image,kind\n1.jpg,"[""a' + "[" * 50_000 + '"\n2.jpg,hat\n',
    "a number of digits": 'image,kind\n1.jpg,"[""a"", ' + "9" * 9_000 + ']"\n2.jpg,hat\n',
}


def table_cases() -> list[Case]:
    """List manifests and metadata files, refused and read."""
    found = []
    for content, wanted in ((BAD_TABLES, REFUSED), (GOOD_TABLES, READ)):
        for name, text in content.items():
            found.append(Case("manifest", name, _written("odd.csv", text), wanted))
    found.append(Case("manifest", "a pipe", _pipe("odd.csv"), REFUSED))
    header = "file_name,kind\n"
    for name, text, wanted in (
        ("doubled by another spelling", f"{header}1.jpg,a\n./1.jpg,b\n", REFUSED),
        ("name empty", f"{header},a\n", REFUSED),
        ("cut in a quote", f'{header}"1.jpg', REFUSED),
        ("UTF-16", f"{header}1.jpg,a\n".encode("utf-16"), REFUSED),
        ("NUL", f"{header}\0,a\n", REFUSED),
        ("6 million cells", f"{header}1.jpg{',' * 6_000_000}\n", REFUSED),
        ("plain", f"{header}1.jpg,a\n2.jpg,b\n", READ),
        ("paths that leave", f"{header}../1.jpg,a\n/etc/passwd,b\n", READ),
        ("another program's", "a,b\n1,2\n3,4\n", READ),
        ("another program's, binary", bytes(range(256)), READ),
    ):
        found.append(Case("imagefolder", name, _written("metadata.csv", text), wanted))
    return found


def _safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, str) else json.dumps(header)
    said = len(text) if length is None else length
    return struct.pack("<Q", said) + text.encode() + data


def _tensor(begin: int, end: int, shape: list[int], kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


ONE = json.dumps(_tensor(0, 4, [1]))
BAD_SAFETENSORS = {
    "empty": b"",
    "seven bytes": b"\2\0\0\0\0\0\0",
    "length beyond": _safetensors({"a": _tensor(0, 4, [1])}, bytes(4), 10**6),
    "length of 2^63": _safetensors("{}", b"", 2**63),
    "length none": _safetensors("", b""),
    "no JSON": _safetensors("hello"),
    "a list": _safetensors("[]"),
    "a tower": _safetensors("[" * 100_000),
    "no tensors": _safetensors({}),
    "name doubled": _safetensors(f'{{"a":{ONE},"a":{ONE}}}', bytes(4)),
    "overlapping": _safetensors({"a": _tensor(0, 8, [2]), "b": _tensor(4, 12, [2])}, bytes(12)),
    "the same bytes": _safetensors({"a": _tensor(0, 4, [1]), "b": _tensor(0, 4, [1])}, bytes(4)),
    "a gap": _safetensors({"a": _tensor(8, 12, [1])}, bytes(12)),
    "beyond the end": _safetensors({"a": _tensor(0, 400, [100])}, bytes(4)),
    "bytes left over": _safetensors({"a": _tensor(0, 4, [1])}, bytes(400)),
    "huge shape": _safetensors({"a": _tensor(0, 4, [2**40])}, bytes(4)),
    "overflowing shape": _safetensors({"a": _tensor(0, 4, [2**62, 4])}, bytes(4)),
    "negative shape": _safetensors({"a": _tensor(0, 4, [-1])}, bytes(4)),
    "unknown type": _safetensors({"a": _tensor(0, 4, [1], "X9")}, bytes(4)),
    "a pickle": pickle.dumps(Malicious()),
    "cut": _safetensors({"a": _tensor(0, 4, [1])}, bytes(3)),
}


def _pths() -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Things to be saved as ``.pth``, none of them a state dict to be had."""
    import torch

    save: Callable[..., Any] = torch.save
    ones = torch.ones(3)
    yield "code", lambda p: save({"a": Malicious()}, p)
    yield (
        "code, old format",
        lambda p: save({"a": Malicious()}, p, _use_new_zipfile_serialization=False),
    )
    yield "code, bare", lambda p: p.write_bytes(pickle.dumps(Malicious()))
    yield "code, protocol 0", lambda p: p.write_bytes(pickle.dumps(Malicious(), 0))
    yield "a model", lambda p: save(torch.nn.Linear(2, 2), p)
    yield "TorchScript", lambda p: torch.jit.trace(torch.nn.ReLU(), ones).save(p)
    yield "no tensors", lambda p: save({"epoch": 3}, p)
    yield "a tensor", lambda p: save(ones, p)
    yield "a list", lambda p: save([ones], p)
    yield "none", lambda p: save(None, p)
    yield "a set", lambda p: save({1, 2}, p)
    yield "keys that are numbers", lambda p: save({0: ones}, p)
    yield "one name twice", lambda p: save({"a": ones, "module.a": ones}, p)
    yield "huge by strides", lambda p: save({"a": ones[:1].expand(1 << 20, 1 << 20)}, p)
    yield "of no memory", lambda p: save({"a": torch.ones(3, device="meta")}, p)
    yield "sparse", lambda p: save({"a": ones.to_sparse()}, p)
    yield "named for a terminal", lambda p: save({"\x1b[2J\n": ones.to_sparse()}, p)
    yield (
        "quantized",
        lambda p: save({"a": torch.quantize_per_tensor(ones, 0.1, 0, torch.qint8)}, p),
    )
    yield "a zip of nothing", lambda p: p.write_bytes(b"PK\x05\x06" + bytes(18))
    yield "a tar", lambda p: p.write_bytes(b"pickle\0".ljust(1024, b"\0"))
    yield "a bomb", _bomb
    yield "empty", lambda p: p.write_bytes(b"")
    yield "a text", lambda p: p.write_bytes(b"hello")
    yield "a length of 2^60", lambda p: p.write_bytes(b"\x80\x04\x8e" + struct.pack("<Q", 2**60))
    for share in (0.2, 0.5, 0.9, 0.99):
        yield f"cut at {share}", lambda p, s=share: _cut(p, s)


def _bomb(path: Path) -> None:
    import torch

    torch.save({"a": torch.zeros(8_000_000)}, path)
    packed = path.with_suffix(".zip")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(packed, "w", 8) as smaller:
        for entry in archive.infolist():
            smaller.writestr(entry.filename, archive.read(entry))
    packed.replace(path)


def _old_format(path: Path) -> None:
    import torch

    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)


def _cut(path: Path, share: float) -> None:
    import torch

    torch.save({"a": torch.arange(999.0)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def _saved(save: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        save(folder / "odd.pth")
        return folder / "odd.pth"

    return make


def _misfits() -> Iterator[tuple[str, Callable[[dict[str, Any]], object], str]]:
    """Changes of a whole state dict of ``test_resnet``, and what must come of it."""
    import torch

    first = "conv1.0.weight"
    yield "as it is", lambda t: t, READ
    yield "half precision", lambda t: {k: _halved(v) for k, v in t.items()}, READ
    yield "wrapped", lambda t: {"state_dict": {f"module.{k}": v for k, v in t.items()}}, READ
    yield "NaN", lambda t: t | {first: t[first] * torch.nan}, REFUSED
    yield "infinite in double", lambda t: t | {first: t[first].double() + 1e300}, REFUSED
    yield "eight bits", lambda t: t | {first: t[first].to(torch.int8)}, REFUSED
    yield "truth", lambda t: t | {first: t[first] > 0}, REFUSED
    yield "complex", lambda t: t | {first: t[first].to(torch.complex64)}, REFUSED
    yield "one less", lambda t: {k: v for k, v in t.items() if k != first}, REFUSED
    yield "one more", lambda t: t | {"more\x1b[2J": torch.ones(1)}, REFUSED
    yield "another shape", lambda t: t | {first: t[first][:1]}, REFUSED
    yield "no numbers", lambda t: t | {first: torch.ones(0)}, REFUSED
    yield "other names", lambda t: {f"x.{k}": v for k, v in t.items()}, REFUSED
    yield "long names", lambda t: {f"{'x' * 99_999}{k}": v for k, v in t.items()}, REFUSED


def _halved(tensor: Any) -> Any:
    return tensor.half() if tensor.is_floating_point() else tensor


def _misfit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import timm
        import torch

        tensors = dict(timm.create_model("test_resnet").state_dict())
        assert "conv1.0.weight" in tensors or "conv1.weight" in tensors
        if "conv1.0.weight" not in tensors:
            raise AssertionError(sorted(tensors)[:9])
        torch.save(change(tensors), folder / "odd.pth")
        return folder / "odd.pth"

    return make


def weights_cases() -> list[Case]:
    """List checkpoints, refused and read."""
    bad = [(name, _written("odd.safetensors", raw)) for name, raw in BAD_SAFETENSORS.items()]
    bad += [(name, _saved(save)) for name, save in _pths()]
    bad += [("a pipe", _pipe("odd.pth")), ("a pipe, safetensors", _pipe("odd.safetensors"))]
    good = _safetensors({"a": _tensor(0, 4, [1]), "__metadata__": {"a": "b"}}, bytes(4))
    return [
        Case("weights", "old format", _saved(_old_format), READ),
        *(Case("weights", name, make, REFUSED) for name, make in bad),
        Case("weights", "plain", _written("odd.safetensors", good), READ),
        *(Case("backbone", name, _misfit(change), wanted) for name, change, wanted in _misfits()),
    ]


# caches


def _header(kind: str, shape: Any, data: bytes = b"") -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + data


BAD_ARRAYS = {
    "empty": b"",
    "cut": _header("'<f4'", (4, 3), bytes(40)),
    "more": _header("'<f4'", (4, 3), bytes(4000)),
    "4 TB": _header("'<f4'", (10**12,)),
    "1 GB": _header("'<f4'", (2**28,)),
    "overflowing": _header("'<f4'", (2**62, 4)),
    "negative": _header("'<f4'", (-4, 3), bytes(48)),
    "objects": _header("'|O'", (1,), pickle.dumps([1])),
    "code": _header("'|O'", (1,), pickle.dumps(Malicious())),
    "a pickle": pickle.dumps(Malicious()),
    "fields": _header("[('a', '<f4')]", (1,), bytes(4)),
    "nested type": _header("('<f4', (99999, 99999))", (1,)),
    "no bytes a number": _header("'|V0'", (10**15,)),
    "texts": _header("'<U4'", (4,), bytes(64)),
    "a tower": b"\x93NUMPY\1\0" + struct.pack("<H", 5000) + b"(" * 5000,
    "a call": b"\x93NUMPY\1\0" + struct.pack("<H", 20) + b"__import__('os')    \n",
    "another version": b"\x93NUMPY\3\0\xff\xff\xff\xff",
}
SUM = {"crc32": 0, "format_version": 1}
BAD_KEYS = {
    "empty": "",
    "a tower": "[" * 100_000,
    "a list": "[1]",
    "a number": "7",
    "NaN": '{"key": NaN}',
    "of digits": '{"key": ' + "9" * 9000 + "}",
    "another key": json.dumps(with_check_sum({"key": {"what": "else"}, **SUM})),
    "sum a text": json.dumps(with_check_sum({"key": KEY, **SUM, "crc32": "0"})),
    "a letter changed": json.dumps({**with_check_sum({"key": KEY, **SUM}), "notes": ["a"]}),
}


def _cached(array: bytes | None = None, key: str | None = None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        ArrayCache(folder, "it is").write(KEY, ARRAY)
        (npy,), (said,) = folder.glob("*.npy"), folder.glob("*.json")
        if array is not None:
            npy.write_bytes(array)
            beside = {"key": KEY, **SUM, "crc32": zlib.crc32(array)}
            said.write_text(json.dumps(with_check_sum(beside)))
        if key is not None:
            said.write_text(key)
        return folder

    return make


def _cached_pipe(pattern: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _cached()(folder)
        (path,) = folder.glob(pattern)
        path.unlink()
        os.mkfifo(path)
        return folder

    return make


def cache_cases() -> list[Case]:
    """List arrays of the caches: each counts as missing, but for the one that is right."""
    return [
        Case("array", "as written", _cached(), READ),
        *(Case("array", name, _cached(array=raw), MISSING) for name, raw in BAD_ARRAYS.items()),
        *(Case("array", f"key {n}", _cached(key=text), MISSING) for n, text in BAD_KEYS.items()),
        *(Case("array", f"a pipe {p}", _cached_pipe(p), MISSING) for p in ("*.npy", "*.json")),
    ]


def _hub(change: Callable[[Path, Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        commit = "0" * 40
        repository = folder / "models--acme--vit"
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
        weights = snapshot / "model.safetensors"
        weights.write_bytes(_safetensors({"a": _tensor(0, 4, [1])}, bytes(4)))
        change(repository, weights)
        return folder

    return make


def _linked(target: str) -> Callable[[Path, Path], object]:
    def change(_: Path, weights: Path) -> None:
        weights.unlink()
        weights.symlink_to(target)

    return change


def hub_cases() -> list[Case]:
    """List caches of a hub: read, refused, or without what is looked for."""
    return [
        Case("hub", "as it is", _hub(lambda *_: None), READ),
        Case("hub", "a link to nowhere", _hub(_linked("nowhere")), MISSING),
        Case("hub", "a link to itself", _hub(_linked("model.safetensors")), MISSING),
        Case("hub", "a link to passwd", _hub(_linked("/etc/passwd")), REFUSED),
        Case("hub", "a link to zeros", _hub(_linked("/dev/zero")), MISSING),
        Case("hub", "a folder", _hub(lambda _, w: (w.unlink(), w.mkdir())), MISSING),
        Case("hub", "no snapshot", _hub(lambda _, w: (w.unlink(), w.parent.rmdir())), MISSING),
        *(
            Case("hub", f"ref {raw!r}", _hub(lambda r, _, x=raw: _write_ref(r, x)), MISSING)
            for raw in (b"", b"../../..", b"\xff\xfe", b"/etc", b"1" * 40)
        ),
    ]


def _write_ref(repository: Path, raw: bytes) -> None:
    (repository / "refs" / "main").write_bytes(raw)
