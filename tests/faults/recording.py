"""A run's system calls on one folder, as operations that can be done again one by one.

What is not understood is refused: a call left out would make every state that is built wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "openat,open,creat,close,write,pwrite64,writev,pwritev,pwritev2,lseek,read,ftruncate,truncate,"
    "fallocate,fsync,fdatasync,sync_file_range,syncfs,sync,msync,rename,renameat,renameat2,unlink,"
    "unlinkat,link,linkat,symlink,symlinkat,mmap,copy_file_range,sendfile,splice,dup,dup2,dup3,"
    "ioctl"
)
WORDS = ("-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}")
"""Of strace: all bytes, in hexadecimal, and the file behind each number."""

_WHOLE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+|\?)", re.DOTALL)
_BEGUN = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$", re.DOTALL)
_ENDED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"^(\d+)<([^>]*)>")


@dataclass(frozen=True)
class Operation:
    """One change, or one promise of durability, of a file of the folder.

    Parameters
    ----------
    kind : str
        create, write, truncate, sync, sync_folder, rename, unlink, or tell (rows counted).
    name : str
        File name in the folder; of the new name for rename.
    offset : int
        Of a write; the size for truncate, the number of rows for tell.
    data : bytes
    old_name : str
    """

    kind: str
    name: str = ""
    offset: int = 0
    data: bytes = b""
    old_name: str = ""


def operations(log: str, folder: Path, progress: Path) -> list[Operation]:
    """Read the operations on a folder out of strace's log, in the order in which they ended."""
    reader = _Reader(folder, progress)
    return [
        each for call, words, answer in _calls(log) for each in reader.read(call, words, answer)
    ]


def _calls(log: str) -> Iterator[tuple[str, str, int]]:
    begun: dict[str, str] = {}
    for line in log.splitlines():
        if found := _BEGUN.match(line):
            begun[found[1]] = found[3]
            continue
        if found := _ENDED.match(line):
            call, words, answer = found[2], begun.pop(found[1]) + found[3], found[4]
        elif found := _WHOLE.match(line):
            call, words, answer = found[2], found[3], found[4]
        elif "+++" in line or "---" in line:
            continue
        else:
            raise ValueError(f"a line of strace is not understood: {line[:200]}")
        if answer != "?" and int(answer) >= 0:
            yield call, words, int(answer)


def _plain(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode() if "\\x" in text else text


class _Reader:
    """Follows which file stands behind each number, and where it is read and written."""

    def __init__(self, folder: Path, progress: Path) -> None:
        self._folder, self._progress = str(folder), str(progress)
        self._at: dict[int, int | None] = {}

    def read(self, call: str, words: str, answer: int) -> Iterator[Operation]:
        if call in ("rename", "renameat", "renameat2", "unlink", "unlinkat"):
            names = [self._name(_plain(text)) for text in _TEXT.findall(words)]
            if names[-1] is None:
                return
            if call.startswith("unlink"):
                yield Operation("unlink", names[0] or "")
            else:
                yield Operation("rename", names[1] or "", old_name=names[0] or "")
        elif call in ("openat", "open", "creat"):
            yield from self._open(words, answer)
        elif call == "mmap":
            shared = "MAP_SHARED" in words and "PROT_WRITE" in words
            if shared and self._folder in _plain_files(words):
                raise ValueError(f"a file is changed through memory: {words[:200]}")
        elif found := _FILE.match(words):
            number, path = int(found[1]), _plain(found[2])
            if path == self._progress and call == "write":
                yield Operation("tell", offset=int(self._bytes(words).decode()))
            elif path == self._folder and call in ("fsync", "fdatasync"):
                yield Operation("sync_folder")
            elif (name := self._name(path)) is not None:
                yield from self._change(call, number, name, words, answer)

    def _open(self, words: str, number: int) -> Iterator[Operation]:
        name = self._name(_plain(_TEXT.findall(words)[0]))
        if name is None:
            return
        self._at[number] = None if "O_APPEND" in words else 0
        if "O_CREAT" in words:
            yield Operation("create", name)  # nothing, where there is one
        if "O_TRUNC" in words:
            yield Operation("truncate", name, 0)

    def _change(
        self, call: str, number: int, name: str, words: str, answer: int
    ) -> Iterator[Operation]:
        at = self._at.get(number, 0)
        if call == "pwrite64":
            offset = int(words.rpartition(", ")[2])
            yield Operation("write", name, offset, self._bytes(words)[:answer])
        elif call == "write":
            yield Operation("write", name, -1 if at is None else at, self._bytes(words)[:answer])
        elif call == "ftruncate":
            yield Operation("truncate", name, int(words.rpartition(", ")[2]))
        elif call in ("fsync", "fdatasync"):
            yield Operation("sync", name)
        elif call not in ("close", "lseek", "read", "ioctl"):
            raise ValueError(f"{call} is not understood: {words[:200]}")
        if at is not None and call in ("write", "read"):
            self._at[number] = at + answer
        elif at is not None and call == "lseek":
            self._at[number] = answer

    def _name(self, path: str) -> str | None:
        head, _, name = path.rpartition("/")
        return name if head == self._folder else None

    @staticmethod
    def _bytes(words: str) -> bytes:
        return bytes.fromhex(_TEXT.findall(words)[0].replace("\\x", ""))


def _plain_files(words: str) -> str:
    return " ".join(_plain(text) for text in re.findall(r"<([^>]*)>", words))
