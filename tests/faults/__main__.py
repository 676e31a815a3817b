"""What is broken on purpose: ``python -m tests.faults NAME``; see README.md beside this."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.faults import files, pictures, scale

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
    million = commands.add_parser("scale", help="a file of a million rows: time and memory")
    million.add_argument("--rows", type=int, default=1_000_000)
    million.add_argument("--dims", type=int, default=1_024)
    million.add_argument("--folder", type=Path, help="with room for two such files")
    million.add_argument("--limit-mb", type=int, default=1_000)
    million.set_defaults(prove=scale.measure)
    words = vars(parser.parse_args())
    sys.exit(words.pop("prove")(**words))
