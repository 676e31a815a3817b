"""What is broken on purpose: ``python -m tests.faults NAME``; see README.md beside this.

Each command prints what it tried; where anything is wrong it exits 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.faults import disk, files, inject, kills, pictures, replay, scale, signals, stored

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    commands = parser.add_subparsers(required=True, metavar="NAME")
    hostile = commands.add_parser("pictures", help="awkward and hostile pictures, time and memory")
    hostile.add_argument("--workers", type=int, default=2)
    hostile.add_argument("--no-heavy", action="store_false", dest="heavy")
    hostile.add_argument("--json", action="store_true", dest="as_json")
    hostile.set_defaults(prove=pictures.measure)
    foreign = commands.add_parser("files", help="files from elsewhere: refused, or read right")
    foreign.add_argument("--flips", type=int, default=600, help="of each of two files")
    foreign.add_argument("--seed", type=int, default=0)
    foreign.add_argument("--only", help="embeddings, labels, manifest, ..., flips or commands")
    foreign.set_defaults(prove=files.run)
    changed = commands.add_parser("stored", help="a byte changed in every kind of stored file")
    changed.add_argument("--flips", type=int, default=200, help="of each kind")
    changed.add_argument("--seed", type=int, default=0)
    changed.add_argument("--only", help="embeddings, labels, refusals, head, reduction, ...")
    changed.set_defaults(prove=stored.run)
    million = commands.add_parser("scale", help="a file of a million rows: time and memory")
    million.add_argument("--rows", type=int, default=1_000_000)
    million.add_argument("--dims", type=int, default=1_024)
    million.add_argument("--folder", type=Path, help="with room for two such files")
    million.add_argument("--limit-mb", type=int, default=1_000)
    million.set_defaults(prove=scale.measure)
    states = commands.add_parser("replay", help="every state that a kill or a power cut leaves")
    states.add_argument("--pictures", type=int, default=40)
    states.add_argument("--seeds", type=int, default=40, help="random losses at each call")
    states.add_argument("--resume-every", type=int, default=15, help="one in so many states")
    states.add_argument("--plant", help="a wrong writer: no_fdatasync, status_before_vectors, ...")
    states.set_defaults(prove=replay.run)
    faults = commands.add_parser("inject", help="every write, sync and rename fails or is the last")
    faults.add_argument("--pictures", type=int, default=14)
    faults.add_argument("--every", type=int, default=1, help="only one fault in so many")
    faults.set_defaults(prove=inject.run)
    killed = commands.add_parser("kills", help="kill -9 of the command at random moments")
    killed.add_argument("--times", type=int, default=100)
    killed.add_argument("--per-kind", type=int, default=6, help="drawn pictures of seven kinds")
    killed.add_argument("--seed", type=int, default=0)
    killed.set_defaults(prove=kills.run)
    full = commands.add_parser("disk", help="a full disk, before and during a run (as root)")
    full.set_defaults(prove=disk.run)
    asked = commands.add_parser("signals", help="signals, a second writer, readers")
    asked.add_argument("--per-kind", type=int, default=6, help="drawn pictures of seven kinds")
    asked.add_argument("--early", type=int, default=6, help="signals before the first row")
    asked.set_defaults(prove=signals.run)
    words = vars(parser.parse_args())
    proven = words.pop("prove")(**words)
    if isinstance(proven, dict):
        print(json.dumps(proven, indent=1))
        proven = int(any(proven["wrong"].values()))
    sys.exit(proven)
