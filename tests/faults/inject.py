"""Every single write, sync and rename of a run made to fail, or to be its last."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import tracing
from tests.faults.judgment import (
    WRONGS,
    WRONGS_AFTER,
    Finished,
    Truth,
    compare,
    judge,
    resume,
    still_true,
)
from tests.faults.replay import FILE
from tests.faults.small_shop import draw_shop, embed, grow
from tests.faults.tracing import TrackedRun, start_of
from tests.faults.tracked_run import AT_FIRST_FORWARD, AT_START
from tests.faults.warm_server import WarmServer

KILL = "signal=SIGKILL"
FAULTS = {
    "pwrite64": ("error=ENOSPC", "error=EIO", KILL),
    "write": ("error=ENOSPC", "error=EIO", KILL),
    "ftruncate": ("error=ENOSPC", "error=EIO", KILL),
    "fdatasync": ("error=EIO", KILL),
    "fsync": ("error=EIO", "error=ENOSPC", KILL),
    "rename": ("error=EIO", "error=ENOSPC", KILL),
    "unlink": ("error=EIO", KILL),
}
LOOP, WRITER = "loop", "writer"
"""The threads that change files: that of the loop, which lays out too, and the writing one."""
N_DIMS = 61
WRONGS_OF_RUN = {
    "hung": "runs that did not end by themselves",
    "crashed": "runs that a signal ended, other than the one sent",
    "no_clear_line": "runs without one line that names the fault, or with another exit code",
}


@dataclass(frozen=True)
class Scenario:
    """What is run: pictures, the folder before, and the file of an uninterrupted run."""

    shop: Path
    before: Path
    whole: Path


@dataclass(frozen=True)
class Fault:
    """One call of one thread that fails."""

    thread: str
    call: str
    what: str
    number: int

    def __str__(self) -> str:
        return f"{self.what} at {self.call} {self.number} of the {self.thread}"

    @property
    def words(self) -> tuple[str, ...]:
        """Spell it for strace."""
        inject = f"inject={self.call}:{self.what}:when={self.number}"
        return ("-e", f"trace={self.call}", "-e", inject)


class Injector:
    """Runs a scenario under one fault after the other and counts what is wrong."""

    def __init__(self, server: WarmServer, scenario: Scenario, truth: Truth, scratch: Path) -> None:
        self._server, self._scenario, self._truth = server, scenario, truth
        self._scratch = scratch
        self._finished: Finished = {}
        if (scenario.before / FILE).exists():
            found = judge(scenario.before / FILE, truth)[1]
            self._finished = still_true(found, scenario.shop)
        self.injected: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.examples: list[str] = []

    def faults(self) -> Iterator[Fault]:
        """List every call of an undisturbed run, with each of its faults."""
        for thread in (LOOP, WRITER):
            run = self._begin()
            words = ("-e", f"trace={','.join(FAULTS)}")
            strace = self._take_hold(run, thread, words)
            assert run.finish() == 0, run.process.said
            calls = Counter(re.findall(r"^(?:\d+ +)?(\w+)\(", strace.read(), re.MULTILINE))
            for call, count in calls.items():
                for what in FAULTS[call]:
                    yield from (Fault(thread, call, what, k + 1) for k in range(count))

    def inject(self, fault: Fault) -> None:
        """Run with one fault, judge what is left, and resume."""
        run = self._begin()
        strace = self._take_hold(run, fault.thread, fault.words)
        try:
            code = run.finish()
        except TimeoutError:
            self._count(fault, Counter(hung=1))
            return
        log = strace.read()
        if "(INJECTED)" not in log and "killed by SIGKILL" not in log:
            self.injected["not reached"] += 1  # how often the writer syncs hangs on the clock
            return
        self.injected[f"{fault.call} {fault.what.partition('=')[2]}"] += 1
        wrong = self._judge_run(fault, code, run.process.said, run.file)
        found, finished = judge(run.file, self._truth)
        wrong += found
        wrong["lost"] += sum(finished.get(i) != row for i, row in self._finished.items())
        wrong["counted_early"] += max(0, run.board["durable"] - len(finished))
        wrong += resume(run.file, self._scenario.shop, self._scenario.whole, N_DIMS)
        self._count(fault, wrong, run.process.said)

    def _begin(self) -> TrackedRun:
        folder = self._scratch / "case"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._scenario.before, folder)
        return start_of(
            TrackedRun(
                self._server, self._scenario.shop, folder / FILE, self._scratch, n_dims=N_DIMS
            )
        )

    def _take_hold(self, run: TrackedRun, thread: str, words: tuple[str, ...]) -> tracing.Strace:
        if thread == LOOP:
            return run.trace(*words)
        run.let_pass(AT_START)
        assert run.wait_until(AT_FIRST_FORWARD), run.process.said
        return run.trace(*words, threads=run.writing_threads)

    def _judge_run(self, fault: Fault, code: int, said: str, file: Path) -> Counter[str]:
        if fault.what == KILL:
            return Counter(crashed=int(code != -9))
        if code < 0:
            return Counter(crashed=1)
        if code == 0:  # a call that nothing hangs on
            return compare(file, self._scenario.whole)
        reason = os.strerror(getattr(errno, fault.what.partition("=")[2]))
        lines = said.splitlines()
        clear = code == 1 and len(lines) == 1 and lines[0].startswith("error: ")
        clear &= reason.lower() in said.lower() and "unexpected" not in said
        return Counter(no_clear_line=int(not clear))

    def _count(self, fault: Fault, wrong: Counter[str], said: str = "") -> None:
        self.wrong += wrong
        if +wrong and len(self.examples) < 20:
            self.examples.append(f"{fault}: {dict(+wrong)} {said.strip()[-300:]}")


def scenarios(scratch: Path, pictures: int, truth: Truth) -> dict[str, Scenario]:
    """Make a first run, one over its file after the shop grew, and one that was cut short."""
    shop = draw_shop(scratch / "shop", pictures)
    grown = grow(shop, scratch / "grown")
    nothing, first, second = (scratch / name for name in ("nothing", "first", "second"))
    for folder in (nothing, first):
        folder.mkdir()
    embed(shop, first / FILE, N_DIMS)
    shutil.copytree(first, second)
    embed(grown, second / FILE, N_DIMS)
    truth.learn(first / FILE).learn(second / FILE)
    return {
        "first run": Scenario(shop, nothing, first / FILE),
        "grown shop": Scenario(grown, first, second / FILE),
    }


def run(*, pictures: int = 14, every: int = 1, first: int = 0) -> dict[str, Any]:
    """Make every call fail in every way, one a run."""
    began = time.monotonic()
    injected: Counter[str] = Counter()
    wrong: Counter[str] = Counter(dict.fromkeys({**WRONGS_OF_RUN, **WRONGS, **WRONGS_AFTER}, 0))
    examples = []
    with tempfile.TemporaryDirectory(dir=tracing.in_memory()) as folder, WarmServer() as server:
        scratch, truth = Path(folder), Truth()
        for name, scenario in scenarios(scratch, pictures, truth).items():
            injector = Injector(server, scenario, truth, scratch)
            for fault in list(injector.faults())[first::every]:
                injector.inject(fault)
            injected.update(injector.injected)
            wrong.update(injector.wrong)
            examples += [f"{name}, {example}" for example in injector.examples]
    return {
        "injected": dict(injected),
        "runs": injected.total(),
        "wrong": dict(wrong),
        "examples": examples,
        "seconds": round(time.monotonic() - began, 1),
    }
