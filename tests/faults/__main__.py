"""Long proofs that nothing is lost or believed: ``python -m tests.faults NAME``."""

from __future__ import annotations

import argparse
import sys

from tests.faults import files


def _add_files(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tried = commands.add_parser("files", help="files from elsewhere: refused, or read right")
    tried.add_argument("--flips", type=int, default=600, help="of each of two files")
    tried.add_argument("--seed", type=int, default=0)
    tried.add_argument("--only", help="embeddings, labels, manifest, ..., flips or commands")
    tried.set_defaults(prove=files.run)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    commands = parser.add_subparsers(required=True, metavar="NAME")
    _add_files(commands)
    words = vars(parser.parse_args())
    sys.exit(words.pop("prove")(**words))
