"""Files from elsewhere, every kind that is read: refused in one line, or read right; never a crash.

``python -m tests.faults files`` makes them all, tries them through the real readers in processes of
their own, flips bytes of sound files at random, and runs a few commands on what is left.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

from extract.files import sandboxed_open as rehearsal
from extract.storage.labels_file import labels_path
from tests.faults.cases import READ, REFUSED, Case
from tests.faults.foreign_hdf5 import embeddings_cases, labels_cases, write_with_labels
from tests.faults.foreign_others import cache_cases, hub_cases, table_cases, weights_cases
from tests.faults.readers import Outcome, run_command, try_in_child, verdict

REHEARSAL_SECONDS = 3
"""A file that HDF5 never ends to read costs that much each time."""


def run(flips: int, seed: int, only: str | None) -> int:
    """Try them all, print counts, and give 1 if anything is wrong, else 0."""
    torch.set_num_threads(1)
    rehearsal.CPU_SECONDS = REHEARSAL_SECONDS
    cases = [
        *embeddings_cases(),
        *labels_cases(),
        *table_cases(),
        *weights_cases(),
        *cache_cases(),
        *hub_cases(),
    ]
    began = time.monotonic()
    wrong = _try_cases([c for c in cases if only in (None, c.reader)])
    if only in (None, "flips"):
        wrong += _flip_all(flips, seed)
    if only in (None, "commands"):
        wrong += _commands()
    print(f"{wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def _try_cases(cases: list[Case]) -> int:
    counts: Counter[tuple[str, str]] = Counter()
    wrong, largest = 0, (0.0, "")
    for case in cases:
        with tempfile.TemporaryDirectory() as name:
            path = case.make(Path(name))
            outcome = try_in_child(case.reader, path)
            fault = verdict(case, path, outcome)
        counts[case.reader, outcome.what] += 1
        largest = max(largest, (outcome.megabytes, f"{case.reader}: {case.name}"))
        if fault:
            wrong += 1
            print(f"WRONG {case.reader}: {case.name}: {fault}", flush=True)
    for (reader, what), count in sorted(counts.items()):
        print(f"{reader:<12} {what:<10} {count:>4}")
    if cases:
        print(f"{len(cases)} files; memory grew by {largest[0]:.0f} MB at most ({largest[1]})")
    return wrong


def _flip_all(flips: int, seed: int) -> int:
    """Damage a sound file and its labels at random; nothing wrong may be shown."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "odd.h5"
        write_with_labels(path)
        sound = {p: p.read_bytes() for p in (path, labels_path(path))}
        for target, content in sound.items():
            rng = random.Random(seed)
            counts: Counter[str] = Counter()
            for damaged in _damaged(content, flips, rng):
                for other, whole in sound.items():
                    other.write_bytes(damaged if other == target else whole)
                outcome = try_in_child("labels", path)
                rehearsed = "HDF5 library" in outcome.said
                counts["refused in rehearsal" if rehearsed else outcome.what] += 1
                wrong += _flip_is_wrong(outcome)
            kinds = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
            print(f"{flips} times damaged, {target.name}: {kinds}", flush=True)
    return wrong


def _flip_is_wrong(outcome: Outcome) -> bool:
    if outcome.what == READ or (outcome.what == REFUSED and outcome.said.isprintable()):
        return False
    print(f"WRONG after damage: {outcome}", flush=True)
    return True


def _damaged(content: bytes, count: int, rng: random.Random) -> Iterator[bytes]:
    """Cut a file, or change bytes of it; half of them where the file is not zeros or the record."""
    lively = [i for i, byte in enumerate(content) if byte not in (0, ord(" "))]
    for number in range(count):
        if number % 10 == 0:
            yield content[: rng.randrange(len(content))]
            continue
        changed = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            place = rng.choice(lively) if number % 2 else rng.randrange(len(content))
            changed[place] = rng.choice((changed[place] ^ (1 << rng.randrange(8)), 0, 255))
        yield bytes(changed)


def _commands() -> int:
    """Run show, analyze, similar and export on files that are refused, and on odd ones."""
    wrong = 0
    hostile = {c.name: c for c in embeddings_cases() if c.name in COMMAND_CASES}
    with tempfile.TemporaryDirectory() as name:
        for case in hostile.values():
            for command in ("show", "analyze", "similar", "export"):
                folder = Path(name) / "workspace"
                folder.mkdir()
                path = case.make(folder)
                wanted = {case.wanted} if case.wanted == REFUSED else {READ, REFUSED}
                words = {
                    "show": ("extract", "show", str(path), "--json"),
                    "analyze": ("analyze", "--embeddings", str(path), "--clusters", "2"),
                    "similar": ("analyze", "similar", "--embeddings", str(path), "--query", "a"),
                    "export": ("extract", "export", str(path)),
                }[command]
                outcome = run_command(*words, cwd=folder)
                if outcome.what not in wanted:
                    wrong += 1
                    print(f"WRONG {command} {case.name}: {outcome}", flush=True)
                shutil.rmtree(folder)
    print(f"{len(hostile)} files by 4 commands each")
    return wrong


COMMAND_CASES = (
    "link to a pipe paths",
    "bomb by gzip",
    "cut at 5000",
    "realisations [[[[[[[[[[[[",
    "record hostile",
    "record with NaN",
    "ids of a terminal",
    "ids absolute",
    "a row not finite",
)
