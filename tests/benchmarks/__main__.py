"""What is measured by hand: ``python -m tests.benchmarks NAME``; see README.md beside this."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks import checks, devices, gpu_decoding, seeds

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    commands = parser.add_subparsers(required=True, metavar="NAME")
    spread = commands.add_parser("seeds", help="ARI over seeds, by reduction, of a stored file")
    spread.add_argument("embeddings", type=Path)
    spread.add_argument("--reduce", action="append", dest="reductions")
    spread.add_argument("--seeds", type=int, default=50)
    spread.set_defaults(measure=seeds.measure)
    rows = commands.add_parser("devices", help="rows of a GPU against those of the CPU, and rates")
    rows.add_argument("--device", default="cuda")
    rows.add_argument("--model", action="append", dest="models")
    rows.add_argument("--pictures", type=int, default=256)
    rows.set_defaults(measure=devices.measure)
    proof = commands.add_parser("checks", help="what hashes and check sums cost beside a run")
    proof.add_argument("images", type=Path)
    proof.add_argument("--model", default="efficientnet_lite0")
    proof.set_defaults(measure=checks.measure)
    decoding = commands.add_parser("gpu_decoding", help="JPEGs decoded on a GPU: rates, fidelity")
    decoding.add_argument("--device", default="cuda")
    decoding.add_argument("--compile", action="store_true", dest="compiled")
    decoding.set_defaults(measure=gpu_decoding.measure)
    words = vars(parser.parse_args())
    words.pop("measure")(**words)
