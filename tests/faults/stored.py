"""Bytes of stored files changed one at a time: nothing else is shown, unless that is said.

``python -m tests.faults stored`` writes a file of every kind of :mod:`tests.faults.stored_kinds`,
changes a byte, and reads it: an error of one line, the same again, or less of it with a word why.
"""

from __future__ import annotations

import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extract.errors import SosieError
from tests.faults.stored_kinds import KINDS, Heard, Kind

SAME, REFUSED, LESS, AGAIN = "same", "refused", "less, and said", "same, and said"
SILENT = "used silently"
MOST_TOLD = 5


def run(flips: int, seed: int, only: str | None) -> int:
    """Change bytes of every kind, print what came of it, and give 1 if anything was wrong."""
    wrong = 0
    for name in KINDS:
        if only not in (None, name):
            continue
        began = time.monotonic()
        counts, faults = flip_kind(KINDS[name], flips, seed)
        wrong += len(faults)
        for fault in faults[:MOST_TOLD]:
            print(f"WRONG {name}: {fault}")
        kinds = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        print(f"{name:<11} {flips} bytes: {kinds} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{wrong} wrong")
    return 1 if wrong else 0


def flip_kind(kind: Kind, flips: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Change one byte after another of a kind's files.

    Parameters
    ----------
    kind : Kind
    flips : int
        How many bytes, shared among its files.
    seed : int

    Returns
    -------
    counts : Counter
        What came of the changes.
    faults : list of str
        A line for each that was used without a word, or ended in an error nobody foresaw.
    """
    rng, counts, faults = random.Random(seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = kind.make(folder)
        sound = {path: path.read_bytes() for path in folder.iterdir()}
        truth, said = _seen(kind, folder)
        assert _seen(kind, folder) == (truth, said)
        for number in range(flips):
            target = files[number % len(files)]
            damaged = bytearray(sound[target])
            place = _place(damaged, number, rng)
            damaged[place] ^= rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
            _put_back(folder, sound)
            target.write_bytes(damaged)
            what = _came_of_it(kind, folder, truth, said)
            counts[what if what in (SAME, REFUSED, LESS, AGAIN) else SILENT] += 1
            if what not in (SAME, REFUSED, LESS, AGAIN):
                faults.append(f"{target.name}, byte {place} to {damaged[place]:#04x}: {what}")
    return counts, faults


def _place(content: bytearray, number: int, rng: random.Random) -> int:
    """Choose a byte: every second one where the file is neither zeros nor blanks."""
    if number // 2 % 2:
        return rng.randrange(len(content))
    return rng.choice([i for i, byte in enumerate(content) if byte not in (0, ord(" "))])


def _put_back(folder: Path, sound: Mapping[Path, bytes]) -> None:
    for path in folder.iterdir():
        if path not in sound:
            path.unlink()
    for path, content in sound.items():
        path.write_bytes(content)


def _seen(kind: Kind, folder: Path) -> tuple[dict[str, Any], list[str]]:
    heard, said = Heard(), list[str]()
    log = logging.getLogger("sosie")
    log.addHandler(heard)
    try:
        return kind.read(folder, said), [*said, *heard.lines]
    finally:
        log.removeHandler(heard)


def _came_of_it(kind: Kind, folder: Path, truth: dict[str, Any], before: list[str]) -> str:
    """Name what came of a change: one of the four that are right, or what is wrong."""
    try:
        seen, said = _seen(kind, folder)
    except SosieError as error:
        return REFUSED if str(error).isprintable() else f"not one line: {error!r}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"{type(error).__name__} is no error of ours: {str(error)[:200]!r}"
    new = said != before
    other = [part for part in truth if seen[part] != truth[part]]
    if not other:
        return AGAIN if new else SAME
    for part in other:
        if part not in kind.parts or not _is_less(seen[part], truth[part]):
            return f"{part} {_differing(seen[part], truth[part])}"
    return LESS if new else f"less of {', '.join(other)} without a word"


def _is_less(seen: Any, truth: Any) -> bool:
    """Say whether something is missing of what was there, and nothing else."""
    if isinstance(truth, dict):
        return seen.keys() <= truth.keys() and all(_is_less(seen[k], truth[k]) for k in seen)
    if isinstance(truth, list):
        return set(map(str, seen)) <= set(map(str, truth))
    return bool(seen == truth)


def _differing(seen: Any, truth: Any) -> str:
    if isinstance(truth, dict) and isinstance(seen, dict):
        keys = [k for k in {**truth, **seen} if seen.get(k) != truth.get(k)]
        return f"differ in {keys[:3]}: {str([seen.get(k) for k in keys[:3]])[:160]}"
    return f"are {str(seen)[:160]}"
