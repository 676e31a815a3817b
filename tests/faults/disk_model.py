"""A folder on a disk that may lose power: what is certain, and what else may be found there.

Certain is what was there at the last fsync or fdatasync of a file, and the names that were there at
the last fsync of the folder. Of everything since, any part may be found: a page or a sector of 512
bytes as it was after any of the writes to it, any of the sizes, any of the changes of names.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.faults.recording import Operation

PAGE, SECTOR = 4096, 512
State = dict[str, bytes]


@dataclass
class File:
    """Bytes as the system shows them, bytes that are certain, and the writes between."""

    now: bytearray = field(default_factory=bytearray)
    certain: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        """Change bytes, and the size where they reach past it."""
        if offset > len(self.now):
            self.now.extend(bytes(offset - len(self.now)))
        self.now[offset : offset + len(data)] = data
        self.since.append((offset, data))

    def resize(self, size: int) -> None:
        """Change the size."""
        if size > len(self.now):
            self.now.extend(bytes(size - len(self.now)))
        del self.now[size:]
        self.since.append((size, None))

    def sync(self) -> None:
        """Make everything certain."""
        self.certain = bytes(self.now)
        self.since.clear()

    def found(self, chance: random.Random, grain: int, keep: str) -> bytes:
        """Give bytes that may be found after a loss of power.

        Parameters
        ----------
        chance : random.Random
        grain : int
            Bytes that are written together or not at all.
        keep : {"nothing", "size", "newest", "any"}
            Of what was written since the last sync.
        """
        if keep == "nothing" or not self.since:
            return self.certain
        sizes = [len(self.certain)]
        for offset, data in self.since:
            sizes.append(offset if data is None else max(sizes[-1], offset + len(data)))
        data = bytearray(self.certain.ljust(max(sizes), b"\0"))
        if keep != "size":
            for at, versions in self._touched(grain).items():
                if keep == "newest":
                    versions = versions if versions[-1] == len(self.since) - 1 else []
                else:
                    versions = versions[: chance.randint(0, len(versions))]
                self._apply(data, at, grain, versions)
        size = chance.choice(sizes) if keep == "any" else sizes[-1]
        return bytes(data[:size])

    def _touched(self, grain: int) -> dict[int, list[int]]:
        """List, for each grain, the writes since the last sync that touched it."""
        touched: dict[int, list[int]] = {}
        for number, (offset, data) in enumerate(self.since):
            if data:
                for at in range(offset // grain, (offset + len(data) - 1) // grain + 1):
                    touched.setdefault(at * grain, []).append(number)
        return touched

    def _apply(self, target: bytearray, at: int, grain: int, versions: list[int]) -> None:
        for number in versions:
            offset, data = self.since[number]
            assert data is not None
            begin, end = max(at, offset), min(at + grain, offset + len(data))
            target[begin:end] = data[begin - offset : end - offset]


class Disk:
    """One folder: files by number, the names that the system shows, the names that are certain."""

    def __init__(self, state: State) -> None:
        self.files = [File(bytearray(data), data) for data in state.values()]
        self.names = {name: i for i, name in enumerate(state)}
        self.certain_names = dict(self.names)
        self.since: list[tuple[str | None, str | None, int]] = []

    def do(self, operation: Operation) -> None:
        """Do one recorded operation."""
        kind, name = operation.kind, operation.name
        if kind == "create":
            if name not in self.names:
                self.files.append(File())
                self._rename(None, name, len(self.files) - 1)
        elif kind == "rename":
            self._rename(operation.old_name, name, self.names[operation.old_name])
        elif kind == "unlink":
            self._rename(name, None, self.names[name])
        elif kind == "sync_folder":
            self.certain_names = dict(self.names)
            self.since.clear()
        elif kind == "write":
            file = self.files[self.names[name]]
            file.write(len(file.now) if operation.offset < 0 else operation.offset, operation.data)
        elif kind == "truncate":
            self.files[self.names[name]].resize(operation.offset)
        elif kind == "sync":
            self.files[self.names[name]].sync()

    def _rename(self, old: str | None, new: str | None, number: int) -> None:
        _change(self.names, old, new, number)
        self.since.append((old, new, number))

    def shown(self) -> State:
        """Give the folder as the system shows it: what a killed process leaves."""
        return {name: bytes(self.files[number].now) for name, number in self.names.items()}

    def certain(self, name: str) -> bytes | None:
        """Give the bytes of a file that no loss of power can take."""
        number = self.certain_names.get(name)
        return None if number is None else self.files[number].certain

    def torn(self, operation: Operation) -> Iterator[State]:
        """Give the folder with an operation's write cut at odd places and at every sector."""
        length = len(operation.data)
        if operation.kind != "write" or length < 2:
            return
        file = self.files[self.names[operation.name]]
        begin = len(file.now) if operation.offset < 0 else operation.offset
        sectors = range(-(begin % SECTOR) % SECTOR or SECTOR, length, SECTOR)
        for cut in sorted({1, length // 2, length - 1, *sectors}):
            kept = copy.deepcopy(file)
            kept.write(begin, operation.data[:cut])
            yield {**self.shown(), operation.name: bytes(kept.now)}

    def after_power_loss(self, chance: random.Random, n_random: int) -> Iterator[State]:
        """Give folders that may be found when the power goes now."""
        for keep in ("nothing", "size", "newest"):
            for renames in ("nothing", "all"):
                yield self._found(chance, PAGE, keep, renames)
        for i in range(n_random):
            yield self._found(chance, SECTOR if i % 2 else PAGE, "any", "any")

    def _found(self, chance: random.Random, grain: int, keep: str, renames: str) -> State:
        names = dict(self.certain_names)
        for old, new, number in self.since:
            if renames == "all" or (renames == "any" and chance.random() < 0.5):
                _change(names, old, new, number)
        found = [file.found(chance, grain, keep) for file in self.files]
        return {name: found[number] for name, number in names.items()}


def _change(names: dict[str, int], old: str | None, new: str | None, number: int) -> None:
    if old is not None and names.get(old) == number:
        del names[old]
    if new is not None:
        names[new] = number
