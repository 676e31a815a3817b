"""Every state that a kill or a loss of power can leave, built from the recorded system calls."""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import tracing
from tests.faults.disk_model import Disk, State
from tests.faults.judgment import WRONGS, WRONGS_AFTER, Finished, Truth, judge, resume, still_true
from tests.faults.recording import WORDS, Operation, operations
from tests.faults.small_shop import WIDE, draw_shop, grow
from tests.faults.tracing import TrackedRun, start_of
from tests.faults.warm_server import WarmServer

FILE = "x.h5"


@dataclass(frozen=True)
class Recording:
    """One run: the folder before it, and each operation on it.

    Parameters
    ----------
    before : mapping of str to bytes
    operations : sequence of Operation
    after : mapping of str to bytes
        The folder as it really was after the run.
    """

    before: State
    operations: Sequence[Operation]
    after: State


def record(server: WarmServer, shop: Path, folder: Path, scratch: Path, **how: Any) -> Recording:
    """Run the real writer under strace; every byte of the folder must be explained by it."""
    before = read_state(folder)
    run = start_of(TrackedRun(server, shop, folder / FILE, scratch, tells=True, **how))
    strace = run.trace(*WORDS, follow=True)
    code = run.finish()
    if code:
        raise RuntimeError(f"the recorded run failed: {run.process.said}")
    done = operations(strace.read(), folder, run.progress)
    recording = Recording(before, done, read_state(folder))
    disk = Disk(before)
    for operation in done:
        disk.do(operation)
    if disk.shown() != recording.after:
        raise AssertionError("the recorded calls do not explain the folder")
    return recording


def read_state(folder: Path) -> State:
    """Read all files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def write_state(folder: Path, state: State) -> None:
    """Make a folder hold these files and no other."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in state.items():
        (folder / name).write_bytes(data)


def _key_of(state: State) -> bytes:
    """Name a state by its content."""
    key = hashlib.sha256()
    for name, data in sorted(state.items()):
        key.update(f"{name}/{len(data)}/".encode() + data)
    return key.digest()


@dataclass
class Checker:
    """Judges states against what was durable, and counts.

    Parameters
    ----------
    truth : Truth
    shop, whole : Path
        Pictures to resume with, and the file of an uninterrupted run.
    scratch : Path
    n_dims : int
    resume_every : int
        One in so many distinct states is resumed.
    """

    truth: Truth
    shop: Path
    whole: Path
    scratch: Path
    n_dims: int = WIDE
    resume_every: int = 10
    states: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    _judged: dict[bytes, tuple[Counter[str], Finished]] = field(default_factory=dict)
    _resumed: set[bytes] = field(default_factory=set)

    def judge(self, data: bytes | None) -> tuple[Counter[str], Finished]:
        """Judge one embeddings file; equal bytes are judged once."""
        if data is None:
            return Counter(), {}
        key = hashlib.sha256(data).digest()
        if key not in self._judged:
            write_state(self.scratch / "state", {FILE: data})
            self._judged[key] = judge(self.scratch / "state" / FILE, self.truth)
        return self._judged[key]

    def check(self, kind: str, state: State, durable: Finished) -> None:
        """Judge a state and resume some of them."""
        self.states[kind] += 1
        wrong, finished = self.judge(state.get(FILE))
        lost = sum(finished.get(row_id) != row for row_id, row in durable.items())
        self._count(kind, wrong + Counter(lost=lost))
        key = _key_of(state)
        if key not in self._resumed:
            self._resumed.add(key)
            if len(self._resumed) % self.resume_every == 0:
                self.states["resumed"] += 1
                write_state(self.scratch / "resumed", state)
                file = self.scratch / "resumed" / FILE
                self._count(f"{kind}, resumed", resume(file, self.shop, self.whole, self.n_dims))

    def _count(self, where: str, wrong: Counter[str]) -> None:
        self.wrong += wrong
        if wrong and len(self.examples) < 10:
            self.examples.append(f"{where}, state {self.states.total()}: {dict(wrong)}")

    def replay(self, recording: Recording, seeds: int) -> None:
        """Judge every state that a fault can leave at every place of a recording."""
        disk, chance = Disk(recording.before), random.Random(0)
        counted = 0
        self.check("prefix", disk.shown(), {})
        for operation in recording.operations:
            if operation.kind == "tell":
                counted += operation.offset
            durable = self.durable(disk)
            for state in disk.torn(operation):
                self.check("torn write", state, durable)
            disk.do(operation)
            durable = self.durable(disk)
            self.wrong["counted_early"] += max(0, counted - len(self.judge(disk.certain(FILE))[1]))
            self.check("prefix", disk.shown(), durable)
            for state in disk.after_power_loss(chance, seeds):
                self.check("power loss", state, durable)

    def durable(self, disk: Disk) -> Finished:
        """List the rows that nothing may take: those certain, unless the run took them back."""
        certain, shown = (
            self.judge(data)[1] for data in (disk.certain(FILE), disk.shown().get(FILE))
        )
        kept = still_true(certain, self.shop)
        return {i: row for i, row in certain.items() if i in shown or i in kept}


def scenarios(
    server: WarmServer, scratch: Path, pictures: int, **how: Any
) -> Iterator[tuple[str, Recording, Path, Path]]:
    """Record a first run, and one over its file after the shop has grown.

    Yields
    ------
    tuple of (name, recording, shop, folder with the whole file)
    """
    shop = draw_shop(scratch / "shop", pictures)
    grown = grow(shop, scratch / "grown")
    folder = scratch / "first"
    folder.mkdir()
    yield "first run", record(server, shop, folder, scratch, **how), shop, folder
    second = scratch / "second"
    write_state(second, read_state(folder))
    yield "grown shop", record(server, grown, second, scratch, **how), grown, second


def prove(
    server: WarmServer,
    scratch: Path,
    *,
    pictures: int,
    seeds: int,
    resume_every: int,
    n_dims: int = WIDE,
    plant: str | None = None,
) -> dict[str, Any]:
    """Record both runs, build every state, judge it."""
    states: Counter[str] = Counter()
    wrong: Counter[str] = Counter(dict.fromkeys({**WRONGS, **WRONGS_AFTER}, 0))
    n_operations, examples, truth = {}, [], Truth()
    how = {"n_dims": n_dims, "plant": plant}
    for name, recording, shop, whole in scenarios(server, scratch, pictures, **how):
        truth.learn(whole / FILE)
        checker = Checker(truth, shop, whole / FILE, scratch, n_dims, resume_every)
        checker.replay(recording, seeds)
        n_operations[name] = len(recording.operations)
        states.update(checker.states)
        wrong.update(checker.wrong)
        examples += [f"{name}: {example}" for example in checker.examples]
    return {
        "operations": n_operations,
        "states": dict(states),
        "wrong": dict(wrong),
        "examples": examples,
    }


def run(**how: Any) -> dict[str, Any]:
    """Prove it in a folder of its own; see :func:`prove`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=tracing.in_memory()) as folder, WarmServer() as server:
        proven = prove(server, Path(folder), **how)
    return proven | {"seconds": round(time.monotonic() - began, 1)}
