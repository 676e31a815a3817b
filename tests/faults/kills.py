"""Random ``kill -9`` of the real command, and how much work each kill costs."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from small_catalogs import offline_environment

from extract.catalog.demo import KINDS, draw_demo
from extract.pipeline.writing import SYNC_BATCHES
from extract.storage.embeddings_file import read_table
from tests.faults.judgment import WRONGS, WRONGS_AFTER, Truth, compare, judge
from tests.faults.small_shop import OPTIONS, draw_shop, embed
from tests.faults.tracing import TrackedRun, start_of
from tests.faults.warm_server import WarmProcess, WarmServer, orphans

WORDS = "extract --model efficientnet_lite0 --images shop --batch-size 4".split()
WRONGS_OF_KILLS = {
    "orphans": "processes that outlive the command",
    "left_in_memory": "names in /dev/shm that were not there before",
    "lock_held": "locks that outlive the command",
    "work_lost": "pictures forwarded and neither stored nor in flight at a kill",
}
IN_FLIGHT = (SYNC_BATCHES + 4 + 1) * (OPTIONS.batch_size or 1)
"""Pictures that a kill may cost: slices not synced, in the queue, and in the loop's hand."""


def stored(workspace: Path) -> Path:
    """Name the embeddings file of a workspace; it need not be there."""
    folder = workspace / "cache" / "embeddings" / "shop"
    found = list(folder.glob("efficientnet_lite0-????????.h5")) if folder.is_dir() else []
    return found[0] if found else folder / "efficientnet_lite0-00000000.h5"


def run(*, times: int = 100, per_kind: int = 6, seed: int = 0) -> dict[str, Any]:
    """Kill the command at random moments, resume it, and compare with an uninterrupted run."""
    began = time.monotonic()
    wrong = Counter(dict.fromkeys({**WRONGS_OF_KILLS, **WRONGS, **WRONGS_AFTER}, 0))
    with tempfile.TemporaryDirectory() as folder, WarmServer(own_memory=True) as server:
        trials = Trials(server, Path(folder), per_kind, random.Random(seed))
        memory = server.names_in_memory()
        while trials.killed.total() < times:
            wrong += trials.one()
        wrong["left_in_memory"] = len(server.names_in_memory() - memory)
        counted = count_forwards(server, Path(folder), times, random.Random(seed), wrong)
    return {
        "kills": dict(trials.killed),
        "pictures": per_kind * len(KINDS),
        "seconds_of_a_whole_run": round(trials.seconds, 2),
        "forwards": counted,
        "wrong": {**dict.fromkeys({**WRONGS_OF_KILLS, **WRONGS, **WRONGS_AFTER}, 0), **wrong},
        "seconds": round(time.monotonic() - began, 1),
    }


class Trials:
    """The real command on the demo's drawings, killed at a random moment and resumed."""

    def __init__(
        self, server: WarmServer, scratch: Path, per_kind: int, chance: random.Random
    ) -> None:
        self._server, self._scratch, self._chance = server, scratch, chance
        self.killed: Counter[str] = Counter()
        draw_demo(scratch / "demo", per_kind=per_kind)
        self._start("warm").wait()  # what is read from the disk for the first time takes longer
        began = time.monotonic()
        process = self._start("whole")
        if process.wait():
            raise RuntimeError(process.said)
        self.seconds = time.monotonic() - began
        self._whole = stored(scratch / "whole")
        self._truth = Truth().learn(self._whole)

    def _start(self, name: str) -> WarmProcess:
        workspace = self._scratch / name
        if not workspace.exists():
            workspace.mkdir()
            shutil.copytree(self._scratch / "demo", workspace / "shop")
        env = offline_environment(workspace) | {"OMP_NUM_THREADS": "1"}
        return self._server.start(WORDS, self._scratch / f"{name}.said", workspace, env)

    def one(self) -> Counter[str]:
        """Kill once, judge, resume until done, compare; the workspace is then removed."""
        began = time.monotonic()
        process = self._start("killed")
        time.sleep(self._chance.uniform(0, self.seconds))
        process.kill()
        if process.wait() == 0:  # it was quicker than the first one: no kill
            self.seconds = min(self.seconds, time.monotonic() - began)
            shutil.rmtree(self._scratch / "killed")
            return Counter()
        wrong = Counter(orphans=len(orphans(process.pid)))
        file = stored(self._scratch / "killed")
        wrong["lock_held"] = _lock_held(file)
        found, finished = judge(file, self._truth)
        wrong += found
        n_rows = len(finished)
        where = "before a row" if file.exists() else "before the file"
        self.killed["among the rows" if n_rows else where] += 1
        resumed = self._start("killed")
        if resumed.wait():
            print(resumed.said)
            wrong["resume_failed"] += 1
        else:
            wrong += compare(stored(self._scratch / "killed"), self._whole)
            kept = read_table(stored(self._scratch / "killed"))
            wrong["lost"] += f"{n_rows} reused" not in resumed.said or not kept.sound().all()
        shutil.rmtree(self._scratch / "killed")
        return +wrong


def count_forwards(
    server: WarmServer,
    scratch: Path,
    times: int,
    chance: random.Random,
    wrong: Counter[str],
    pictures: int = 300,
) -> dict[str, int]:
    """Kill a run again and again until its file is whole; count each picture forwarded.

    A run is real but for its small backbone, which counts in memory that outlives the process.
    """
    shop = draw_shop(scratch / "counted-shop", pictures)
    (scratch / "counted-whole").mkdir()
    embed(shop, scratch / "counted-whole" / "x.h5")
    file = scratch / "counted" / "x.h5"
    counted = Counter(kills=0, files=0, forwarded=0, sound=0, in_flight=0, most_in_flight=0)
    while counted["kills"] < times:
        shutil.rmtree(file.parent, ignore_errors=True)
        file.parent.mkdir()
        counted["files"] += 1
        done = False
        while not done:
            before = _n_sound(file)
            process = start_of(TrackedRun(server, shop, file, scratch, seconds=0.01))
            process.let_pass()
            time.sleep(chance.uniform(0, 1.2))
            process.process.kill()
            done = process.process.wait() == 0
            counted["kills"] += not done
            forwarded = process.board["forwarded"]
            lost = forwarded - (_n_sound(file) - before)
            wrong["work_lost"] += max(0, lost - (0 if done else IN_FLIGHT)) + max(0, -lost)
            counted["forwarded"] += forwarded
            counted["in_flight"] += lost
            counted["most_in_flight"] = max(counted["most_in_flight"], lost)
        counted["sound"] += _n_sound(file)
        wrong += compare(file, scratch / "counted-whole" / "x.h5")
    wrong["work_lost"] += abs(counted["forwarded"] - counted["sound"] - counted["in_flight"])
    return {**counted, "may_be_in_flight": IN_FLIGHT}


def _n_sound(file: Path) -> int:
    return int(read_table(file).sound().sum()) if file.exists() else 0


def _lock_held(file: Path) -> int:
    for lock in file.parent.glob("*.lock"):
        handle = os.open(lock, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 1
        finally:
            os.close(handle)
    return 0
