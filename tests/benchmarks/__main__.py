"""What is measured by hand: ``python -m tests.benchmarks NAME``; see README.md beside this."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks import (
    at_size,
    checkpoints,
    checks,
    comparison_speed,
    container,
    copies,
    coverage,
    devices,
    door,
    extraction_speed,
    fate,
    fused,
    geometry,
    gpu,
    gpu_decoding,
    head_quality,
    head_training,
    lookup,
    memory,
    processors,
    seeds,
    serving,
    stamps,
)

ALTERNATED = "auto, crop, squash or pad; several are measured in turn"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    commands = parser.add_subparsers(required=True, metavar="NAME")
    spread = commands.add_parser("seeds", help="ARI over seeds, by reduction, of a stored file")
    spread.add_argument("embeddings", type=Path)
    spread.add_argument("--reduce", action="append", dest="reductions")
    spread.add_argument("--seeds", type=int, default=50)
    spread.set_defaults(measure=seeds.measure)
    kernels = commands.add_parser("processors", help="scores and vectors by other kernels")
    kernels.add_argument("embeddings", type=Path)
    kernels.add_argument("others", type=Path, nargs="*", help="the same pictures from elsewhere")
    kernels.add_argument("--setting", action="append", dest="settings", choices=processors.SETTINGS)
    kernels.add_argument("--only", action="append", choices=processors.COMMANDS)
    kernels.set_defaults(measure=processors.measure)
    image = commands.add_parser("container", help="the steps of docs/Dockerfile, without docker")
    container.add_options(image)
    image.set_defaults(measure=container.measure)
    rows = commands.add_parser("devices", help="rows of a GPU against those of the CPU, and rates")
    rows.add_argument("--device", default="cuda")
    rows.add_argument("--model", action="append", dest="models")
    rows.add_argument("--pictures", type=int, default=256)
    rows.add_argument("--resize", action="append", dest="resizes", help=ALTERNATED)
    rows.set_defaults(measure=devices.measure)
    proof = commands.add_parser("checks", help="what hashes and check sums cost beside a run")
    proof.add_argument("images", type=Path)
    proof.add_argument("--model", default="efficientnet_lite0")
    proof.set_defaults(measure=checks.measure)
    own = commands.add_parser("checkpoints", help="timm's models take their own full checkpoints")
    own.add_argument("--count", type=int, default=200)
    own.add_argument("--seed", type=int, default=0)
    own.add_argument("--most-parameters", type=float, default=60e6)
    own.add_argument("--only", nargs="+", help="architectures")
    own.set_defaults(measure=checkpoints.measure)
    speed = commands.add_parser("extract", help="what a picture costs on a CPU, beside plain code")
    speed.add_argument("images", type=Path)
    speed.add_argument("--model", default="efficientnet_lite0")
    speed.add_argument("--weights", default="pretrained", help="pretrained or random")
    speed.add_argument("--runtime", action="append", dest="runtimes")
    speed.add_argument("--dtype", default="fp32", choices=("fp32", "bf16"))
    speed.add_argument("--rounds", type=int, default=5)
    speed.add_argument("--pictures", type=int, help="at most so many")
    speed.add_argument("--json", type=Path, dest="to_json")
    speed.add_argument("--peers", action="store_true")
    speed.add_argument("--resize", action="append", dest="resizes", help=ALTERNATED)
    speed.set_defaults(measure=extraction_speed.measure)
    same = commands.add_parser("copies", help="are copies told from variants, on made pairs")
    same.add_argument("images", type=Path, nargs="?", help="photographs; drawn alone without")
    same.add_argument("--pairs", type=int, default=200, help="of copies, and of others, a half")
    same.add_argument("--model", help="whose cosines are said too")
    same.set_defaults(measure=copies.measure)
    growth = commands.add_parser("memory", help="how memory grows with the number of pictures")
    growth.add_argument("--counts", type=int, nargs="+")
    growth.add_argument("--model", default=memory.MODEL)
    growth.set_defaults(measure=memory.measure)
    decoding = commands.add_parser("gpu_decoding", help="JPEGs decoded on a GPU: rates, fidelity")
    decoding.add_argument("--device", default="cuda")
    decoding.add_argument("--compile", action="store_true", dest="compiled")
    decoding.add_argument("--resize", action="append", dest="resizes", help=ALTERNATED)
    decoding.add_argument("--model", default="efficientnet_lite0", help="whose rows are compared")
    decoding.add_argument("--weights", default="pretrained", help="pretrained or random")
    decoding.add_argument("--only", nargs="+", choices=gpu_decoding.PARTS)
    decoding.set_defaults(measure=gpu_decoding.measure)
    fast = commands.add_parser("gpu", help="extraction on a GPU beside its limits")
    fast.add_argument(
        "specs", nargs="+", help="MODEL/KIND/COUNT/DECODERS/CORES/ROUNDS[/LOADER[/FIDELITY]]"
    )
    fast.add_argument("--folder", type=Path, required=True, help="where pictures are made")
    fast.add_argument("--device", default="cuda")
    fast.add_argument("--dtype", default="auto")
    fast.add_argument("--weights", default="random", help="pretrained or random")
    fast.add_argument("--resize", action="append", dest="resizes", help=ALTERNATED)
    fast.add_argument("--runtime", default="auto", choices=("auto", "torch", "fused"))
    fast.add_argument("--no-compile", action="store_false", dest="compiled")
    fast.add_argument("--out", type=Path, help="JSON")
    fast.set_defaults(measure=gpu.measure)
    kernels = commands.add_parser("fused", help="ConvNeXt compiled by torch, and fused, on a GPU")
    kernels.add_argument("--model", action="append", dest="models")
    kernels.add_argument("--batch-size", type=int, default=256)
    kernels.add_argument("--dtype", default="bf16", choices=("bf16", "fp16"))
    kernels.add_argument("--resize", default="crop")
    kernels.add_argument("--only", nargs="+", choices=("kernel", "batches", "one", "guards"))
    kernels.add_argument("--out", type=Path, help="JSON")
    kernels.set_defaults(measure=fused.measure)
    table = commands.add_parser("compare", help="how long a comparison takes, and the same again")
    table.add_argument("--pictures", type=int, default=1050, dest="n_images")
    table.add_argument("--models", type=int, default=4, dest="n_models")
    table.add_argument("--seeds", type=int, default=20, dest="n_seeds")
    table.add_argument("--resamples", type=int, default=2000, dest="n_resamples")
    table.set_defaults(measure=comparison_speed.measure)
    size = commands.add_parser("at_size", help="many rows, beside scikit-learn's defaults")
    size.add_argument("--rows", type=int, default=100_000, dest="n_rows")
    size.add_argument("--dims", type=int, default=1024, dest="n_dims")
    size.add_argument("--only", nargs="+", choices=("pca", "kmeans", "tsne"))
    size.add_argument("--rounds", type=int, default=1)
    size.set_defaults(measure=at_size.measure)
    right = commands.add_parser("coverage", help="how often intervals and p-values are right")
    right.add_argument("--trials", type=int, default=2000)
    right.add_argument("--only", type=int, nargs="+", help="numbers of cases")
    right.set_defaults(measure=coverage.measure)
    head = commands.add_parser("head", help="the head beside logistic regression, by setting")
    head.add_argument("embeddings", type=Path, nargs="+")
    head.add_argument("--views", type=Path, nargs="+", help="arrays, in step with the files")
    head.add_argument("--level")
    head.add_argument("--folds", type=int, default=5)
    head.add_argument("--shuffles", type=int, default=3)
    head.add_argument("--seeds", type=int, default=1, help="heads a fold")
    head.add_argument("--first", type=int, default=0, help="seed of the first shuffle")
    head.add_argument("--only", nargs="+", choices=head_quality.SETTINGS)
    head.set_defaults(measure=head_quality.measure)
    seen = commands.add_parser("geometry", help="scores of each geometry beside the crop's")
    seen.add_argument("sets", type=Path, nargs="+", help="folders of classes, or manifests")
    seen.add_argument("--cache", type=Path, required=True, help="what is kept between runs")
    seen.add_argument("--seeds", type=int, default=20)
    seen.add_argument("--shuffles", type=int, default=2)
    seen.add_argument("--only", nargs="+", help="geometries")
    seen.add_argument("--columns", nargs="+")
    seen.set_defaults(measure=geometry.measure)
    free = commands.add_parser("stamps", help="lay out free photographs with classes")
    free.add_argument("folder", type=Path, help="a new one")
    free.add_argument("--stamps", type=Path, default=stamps.STAMPS)
    free.set_defaults(measure=stamps.measure)
    epochs = commands.add_parser("head_training", help="an epoch, stored and on the pictures")
    epochs.add_argument("images", type=Path)
    epochs.add_argument("--model", default="efficientnet_lite0")
    epochs.add_argument("--pictures", type=int, default=200)
    epochs.add_argument("--views", type=int, default=2)
    epochs.add_argument("--rounds", type=int, default=3)
    epochs.set_defaults(measure=head_training.measure)
    asked = commands.add_parser("lookup", help="look-ups by index: milliseconds, recall, memory")
    asked.add_argument("--rows", type=int, default=100_000, dest="n_rows")
    asked.add_argument("--dims", type=int, default=1024, dest="n_dims")
    asked.add_argument("--index", action="append", dest="indexes", help="default: auto")
    asked.add_argument("--recall", type=float, default=0.98)
    asked.add_argument("--only", nargs="+", choices=("batch", "one", "served"))
    asked.add_argument("--rounds", type=int, default=5)
    asked.set_defaults(measure=lookup.measure)
    load = commands.add_parser("serve", help="the look-alike service under load")
    load.add_argument("--rows", type=int, default=100_000, dest="n_rows")
    load.add_argument("--dims", type=int, default=1024, dest="n_dims")
    load.add_argument("--soak", type=float, default=0.0, dest="soak_minutes", metavar="MINUTES")
    load.set_defaults(measure=serving.measure)
    lived = commands.add_parser("fate", help="the service while its catalogue grows, processes die")
    lived.add_argument("--minutes", type=float, default=30.0)
    lived.add_argument("--no-kills", action="store_false", dest="kills")
    lived.add_argument("--per-kind", type=int, default=fate.FIRST, help="pictures at first")
    lived.set_defaults(measure=fate.measure)
    attacked = commands.add_parser("door", help="the look-alike service under attacks, as JSON")
    attacked.add_argument("--only", nargs="+", choices=door.ATTACKS)
    attacked.set_defaults(measure=door.measure)
    words = vars(parser.parse_args())
    words.pop("measure")(**words)
