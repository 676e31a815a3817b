"""Signals, a second writer and readers, against the real command started from nothing."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from small_catalogs import offline_environment

from extract.catalog.demo import draw_demo
from extract.errors import EmbeddingsFileError
from extract.storage.embeddings_file import read_embeddings, read_table
from tests.faults.judgment import WRONGS, WRONGS_AFTER, Truth, compare, judge
from tests.faults.kills import stored
from tests.faults.warm_server import orphans

WORDS = "extract --model efficientnet_lite0 --images shop --workers 1 --batch-size".split()
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
WRONGS_OF_SIGNALS = {
    "exit_code": "runs that ended with another exit code than their end has",
    "no_clear_line": "runs with a traceback, or without their one line",
    "slow_end": "runs that did not end in time",
    "orphans": "processes that outlive the command",
    "fallen": "times that a reader saw fewer sound rows than before",
    "read_errors": "times that a reader met an error",
}


class Run:
    """The real command in a workspace of its own."""

    def __init__(self, workspace: Path, batch_size: int) -> None:
        self.workspace = workspace
        self.process = subprocess.Popen(
            [sys.executable, "-m", *WORDS, str(batch_size)],
            cwd=workspace,
            env=offline_environment(workspace) | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def file(self) -> Path:
        return stored(self.workspace)

    def wait_for(self, rows: int) -> None:
        """Wait until the file is there and so many rows are sound."""
        while self.process.poll() is None:
            if self.file.exists() and int(read_table(self.file).sound().sum()) >= rows:
                return
            time.sleep(0.02)

    def end(self, seconds: float = 120) -> tuple[int, str]:
        """Wait for its end: exit code and what it said."""
        try:
            said, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return -1, "hung"
        return self.process.returncode, said


class Proof:
    """Counts what is wrong over all that is tried."""

    def __init__(self, scratch: Path, per_kind: int) -> None:
        self._scratch = scratch
        self.wrong = Counter(dict.fromkeys({**WRONGS_OF_SIGNALS, **WRONGS, **WRONGS_AFTER}, 0))
        self.said: dict[str, str] = {}
        draw_demo(scratch / "demo", per_kind=per_kind)
        self._whole = {}
        for batch_size in (2, 64):
            whole = self.start("whole", batch_size)
            code, said = whole.end()
            assert code == 0, said
            self._whole[batch_size] = shutil.copytree(whole.file.parent, scratch / str(batch_size))
        self._truth = Truth()
        for folder in self._whole.values():
            self._truth.learn(folder / whole.file.name)

    def start(self, name: str, batch_size: int = 2) -> Run:
        """Start the command in a new workspace."""
        workspace = self._scratch / name
        shutil.rmtree(workspace, ignore_errors=True)
        workspace.mkdir()
        shutil.copytree(self._scratch / "demo", workspace / "shop")
        return Run(workspace, batch_size)

    def one_signal(self, number: signal.Signals) -> None:
        """Ask once: the batch in flight ends well, all that is finished is kept."""
        run = self.start("asked")
        run.wait_for(rows=4)
        run.process.send_signal(number)
        code, said = run.end()
        sound = int(read_table(run.file).sound().sum())
        self.said[f"{number.name} while rows are written"] = said.splitlines()[-1]
        self.wrong["exit_code"] += code != CODES[number]
        clear = f"stopped: {sound} of " in said and "type the same command again" in said
        self.wrong["no_clear_line"] += "Traceback" in said or not clear
        self._resume(run, 2)

    def two_signals(self, number: signal.Signals) -> None:
        """Ask twice in a batch of all pictures: the second ends the process at once."""
        run = self.start("asked-twice", 64)
        run.wait_for(rows=0)
        time.sleep(0.3)
        run.process.send_signal(number)
        time.sleep(0.1)
        run.process.send_signal(number)
        began = time.monotonic()
        code, said = run.end()
        seconds = time.monotonic() - began
        self.said[f"{number.name} twice"] = f"{code} after {seconds:.2f} s"
        self.wrong["exit_code"] += code not in (-number, CODES[number])
        self.wrong["slow_end"] += seconds > 1
        self.wrong["no_clear_line"] += "Traceback" in said
        self._resume(run, 64)

    def early_signal(self, number: signal.Signals, seconds: float) -> None:
        """Ask before the first row: while libraries are loaded, or pictures listed."""
        run = self.start("early")
        while "/numpy/" not in Path(f"/proc/{run.process.pid}/maps").read_text():
            time.sleep(0.005)  # Python itself, and the command line, are being loaded
        time.sleep(seconds)
        run.process.send_signal(number)
        code, said = run.end(20)
        last = (said.splitlines() or [""])[-1]
        self.said[f"{number.name} after {seconds:.1f} s"] = f"{code} {last}"
        self.wrong["exit_code"] += code not in (-number, CODES[number])
        self.wrong["slow_end"] += said == "hung"
        clear = last.startswith("error: stopped") or code == -number
        self.wrong["no_clear_line"] += "Traceback" in said or not clear
        self.wrong.update(judge(run.file, self._truth)[0])

    def two_runs(self) -> None:
        """Start a second writer: it ends with one line, the first is not disturbed."""
        first = self.start("first")
        first.wait_for(rows=2)
        first.process.send_signal(signal.SIGSTOP)  # else it may be done before the other has begun
        code, said = Run(first.workspace, 2).end()
        first.process.send_signal(signal.SIGCONT)
        self.said["a second run"] = said.splitlines()[-1]
        self.wrong["exit_code"] += code != 1
        clear = f"is being written by process {first.process.pid} on " in said.splitlines()[-1]
        self.wrong["no_clear_line"] += not clear or "Traceback" in said
        self.wrong["exit_code"] += first.end()[0] != 0
        self.wrong.update(compare(first.file, self._whole[2] / first.file.name))

    def reader(self) -> int:
        """Read without pause while a run writes, in three ways; count the readings."""
        run = self.start("read")
        readings = before = 0
        while run.process.poll() is None:
            if not run.file.exists():
                continue
            wrong, finished = judge(run.file, self._truth)
            self.wrong.update(wrong)
            self.wrong["fallen"] += len(finished) < before
            before = len(finished)
            readings += 1
            if finished:
                try:
                    self.wrong["fallen"] += len(read_embeddings(run.file)) < before
                except EmbeddingsFileError as error:
                    self.said["reader"] = str(error)
                    self.wrong["read_errors"] += 1
        self.wrong["exit_code"] += run.end()[0] != 0
        self.wrong.update(compare(run.file, self._whole[2] / run.file.name))
        return readings

    def _resume(self, run: Run, batch_size: int) -> None:
        self.wrong["orphans"] += len(orphans(run.process.pid))
        self.wrong.update(judge(run.file, self._truth)[0])
        code, _ = Run(run.workspace, batch_size).end()
        self.wrong["resume_failed"] += code != 0
        self.wrong.update(compare(run.file, self._whole[batch_size] / run.file.name))


def run(*, per_kind: int = 6, early: int = 6, seed: int = 0) -> dict[str, Any]:
    """Try signals, a second writer and a reader."""
    began, chance = time.monotonic(), random.Random(seed)
    # a shell's job in the background ignores Ctrl-C, and so would what it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        proof = Proof(Path(folder), per_kind)
        for number in CODES:
            proof.one_signal(number)
            proof.two_signals(number)
            for _ in range(early):
                proof.early_signal(number, chance.uniform(0, 4))
        proof.two_runs()
        readings = proof.reader()
    return {
        "signals": len(CODES) * (3 + early),
        "readings": readings,
        "said": proof.said,
        "wrong": dict(proof.wrong),
        "seconds": round(time.monotonic() - began, 1),
    }
