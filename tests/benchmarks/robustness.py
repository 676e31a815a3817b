"""The robustness card on photographs: what it takes, whether drift is ordered, what views gain."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.head.training.head_training import train_head
from analyze.head.training.objective import LevelTargets
from analyze.head.training.spec import HeadSpec, TrainingSpec
from analyze.head.training.training_set import hold_out
from analyze.measures.estimates import Estimate, mean_over_pictures
from analyze.measures.levels import choose_level
from analyze.pictures.near_duplicates import find_copies
from analyze.pictures.picture_folder import PictureFolder
from analyze.pictures.stored_views import read_views
from analyze.robustness.assessment import RobustnessSpec, Running, assess_pictures
from analyze.robustness.result import Robustness
from analyze.robustness.scores import DRIFT
from extract.images.corruptions import FAMILIES, N_SEVERITIES
from extract.storage.embeddings_file import read_embeddings

CLEAN = "unaltered"
N_FOLDS = 5


def measure(
    part: str,
    embeddings: Path,
    images: Path,
    level: str | None,
    families: Sequence[str],
    vectors: Path | None,
    shuffles: int,
    seeds: int,
) -> None:
    """Measure one part.

    Parameters
    ----------
    part : str
        ``card`` or ``advice``.
    embeddings, images : Path
    level : str, optional
    families : sequence of str
        All without any.
    vectors : Path, optional
        Those that ``analyze robustness --vectors`` wrote of this file; computed without.
    shuffles, seeds : int
        Of the advice: foldings, and heads of each fold.
    """
    if part == "card":
        measure_card(embeddings, images, level, families)
    else:
        measure_advice(embeddings, images, level, families, vectors, shuffles, seeds)


def assessed(
    embeddings: Path,
    images: Path,
    level: str | None,
    families: Sequence[str],
    running: Running,
) -> Robustness:
    """Assess one stored file."""
    found = read_embeddings(embeddings)
    pictures = PictureFolder(found, images)
    spec = RobustnessSpec(tuple(families))
    return assess_pictures([found], level, pictures, spec=spec, running=running)


def measure_card(
    embeddings: Path, images: Path, level: str | None, families: Sequence[str]
) -> None:
    """Print a card, its seconds, whether drift is ordered, and whether a second run is the same."""
    began, used = time.monotonic(), time.process_time()
    card = assessed(embeddings, images, level, families, Running())
    wall, cpu = time.monotonic() - began, time.process_time() - used
    print(card.text())
    drift = {(r.family, r.severity): r.value.mean for r in card.rows if r.metric == DRIFT}
    falls = [
        f"{family} at {severity}"
        for family, spec in FAMILIES.items()
        for severity in range(1, spec.n_ordered + 1)
        if (family, 1) in drift and drift[family, severity] < drift[family, severity - 1]
    ]
    for family in dict.fromkeys(family for family, _ in drift):
        spelled = " ".join(f"{drift[family, s]:.4f}" for s in range(N_SEVERITIES + 1))
        print(f"drift {family:<11} {spelled}")
    n = len(card.ids) * len(RobustnessSpec(tuple(families)).corruptions)
    print(f"{wall:.0f} s, {cpu:.0f} s of the processor, {1000 * cpu / n:.1f} ms a picture")
    print(f"drift falls: {', '.join(falls) or 'nowhere'}")
    again = assessed(embeddings, images, level, families, Running())
    print(f"a second run gives the same: {again.to_json() == card.to_json()}")


def measure_advice(
    embeddings: Path,
    images: Path,
    level: str | None,
    families: Sequence[str],
    vectors: Path | None,
    shuffles: int,
    seeds: int,
) -> None:
    """Train heads with and without the stored views; hold both against corrupted test pictures."""
    found = read_embeddings(embeddings)
    with tempfile.TemporaryDirectory() as folder:
        if vectors is None:
            vectors = Path(folder) / "vectors"
            assessed(embeddings, images, level, families, Running(vectors=vectors))
        corrupted = {path.stem: np.load(path) for path in sorted(vectors.glob("*.npy"))}
    chosen = choose_level(found.levels, level)
    views = read_views(embeddings, found)
    assert chosen is not None
    assert views is not None, "embed views first: extract --views 8 --view-policy corrupted-1:..."
    features = np.concatenate([found.vectors[None], views.features])
    print(
        f"{len(found)} pictures, {len(views.features)} views, {shuffles} x {N_FOLDS} folds, "
        f"{seeds} seeds"
    )
    tests = {name.split("-", 1)[1]: each for name, each in corrupted.items()}
    tests = {CLEAN: found.vectors, **{n: v for n, v in tests.items() if not n.endswith(CLEAN)}}
    groups = find_copies(found.vectors, found.content_sha256).groups
    right = {
        name: heads_right(features[:n], chosen.codes, groups, tests, shuffles, seeds)
        for name, n in (("without", 1), ("with", len(features)))
    }
    clean = mean_over_pictures(right["with"][CLEAN] - right["without"][CLEAN], groups)
    print(f"unaltered: {_spelled(right, CLEAN)}, with less without {_interval(clean)}")
    for family in FAMILIES:
        names = [name for name in tests if name.rsplit("-", 1)[0].endswith(family)]
        if names:
            report_family(family, right, names, groups)


def report_family(
    family: str, right: dict[str, dict[str, np.ndarray]], names: Sequence[str], groups: np.ndarray
) -> None:
    """Print what heads lose by a family, with and without views, the mean over severities."""
    lost = {}
    for views, tested in right.items():
        corrupted = np.mean([tested[name] for name in names], axis=0)
        lost[views] = tested[CLEAN] - corrupted
        lost[f"{views} right"] = corrupted
    means = {name: mean_over_pictures(each, groups) for name, each in lost.items()}
    gain = mean_over_pictures(lost["without"] - lost["with"], groups)
    better = mean_over_pictures(lost["with right"] - lost["without right"], groups)
    print(
        f"{family}: loses {means['without'].mean:.3f}, with views {means['with'].mean:.3f}, "
        f"{_interval(gain)} less; accuracy {means['without right'].mean:.3f} and "
        f"{means['with right'].mean:.3f}, {_interval(better)} more"
    )


def heads_right(
    features: np.ndarray,
    codes: np.ndarray,
    groups: np.ndarray,
    tests: dict[str, np.ndarray],
    shuffles: int,
    seeds: int,
) -> dict[str, np.ndarray]:
    """Train a head on each fold, and say how often it is right on each test's pictures.

    Returns
    -------
    dict of str to ndarray of shape (shuffles, n)
        NaN where a picture was not tested, or has no such vector.
    """
    splitter = StratifiedSplitter(codes, groups)
    found = {name: np.full((shuffles, len(codes)), np.nan) for name in tests}
    for shuffle in range(shuffles):
        for fold, split in enumerate(splitter.folds(N_FOLDS, shuffle)):
            for each in found.values():
                each[shuffle, split.test] = 0
            for seed in range(seeds):
                training_set, _ = hold_out(features, LevelTargets.of_one(codes), split)
                trained = train_head(
                    training_set, HeadSpec(), TrainingSpec(), seed=1000 * seed + 10 * shuffle + fold
                )
                for name, vectors in tests.items():
                    there = split.test[np.isfinite(vectors[split.test]).all(axis=1)]
                    (logits,) = trained.head.logits(vectors[there])
                    answers = trained.head.classes[0][logits.argmax(axis=1)]
                    found[name][shuffle, there] += (answers == codes[there]) / seeds
                    gone = np.setdiff1d(split.test, there)
                    found[name][shuffle, gone] = np.nan
    return found


def _interval(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"{found.mean:+.3f}"
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _spelled(right: dict[str, dict[str, np.ndarray]], test: str) -> str:
    return ", ".join(f"{name} views {np.nanmean(each[test]):.3f}" for name, each in right.items())
