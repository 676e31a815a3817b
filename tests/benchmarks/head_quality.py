"""The head beside logistic regression on the same folds, and what each setting gives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analyze.head.splitting.splits import Split
from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.head.training.head_training import TrainingSpec, train_head
from analyze.head.training.network import HeadSpec
from analyze.head.training.objective import LevelTargets
from analyze.head.training.training_set import hold_out
from analyze.measures.estimates import Estimate, mean_over_pictures
from analyze.measures.levels import choose_level
from analyze.measures.probes import fit_linear_probe
from analyze.pictures.near_duplicates import find_copies
from analyze.pictures.stored_views import read_views
from extract import read_embeddings

Setting = tuple[HeadSpec, TrainingSpec]
HEAD, TRAINING = HeadSpec(), TrainingSpec()
DOCUMENT = replace(TRAINING, optimizer="adam", weight_decay=0.0, learning_rate=1e-3, refit=False)
SETTINGS: dict[str, Setting] = {
    "default": (HEAD, TRAINING),
    "no refit": (HEAD, replace(TRAINING, refit=False)),
    "adam 1e-3, no refit, batch 32": (HEAD, replace(DOCUMENT, batch_size=32)),
    "learning rate 1e-4": (HEAD, replace(TRAINING, learning_rate=1e-4)),
    "learning rate 1e-3": (HEAD, replace(TRAINING, learning_rate=1e-3)),
    "weight decay 0": (HEAD, replace(TRAINING, weight_decay=0.0)),
    "weight decay 0.1": (HEAD, replace(TRAINING, weight_decay=0.1)),
    "label smoothing 0.1": (HEAD, replace(TRAINING, label_smoothing=0.1)),
    "batch 32": (HEAD, replace(TRAINING, batch_size=32)),
    "dropout 0.2": (replace(HEAD, dropout=0.2), TRAINING),
    "dropout 0.7": (replace(HEAD, dropout=0.7), TRAINING),
    "width 128": (replace(HEAD, width=128), TRAINING),
    "width 512": (replace(HEAD, width=512), TRAINING),
    "linear (depth 0)": (replace(HEAD, depth=0), TRAINING),
    "depth 2": (replace(HEAD, depth=2), TRAINING),
}


@dataclass(frozen=True, eq=False)
class Pictures:
    """One file's labelled pictures, its splits, and what the regression answers on them."""

    name: str
    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    splits: Sequence[tuple[int, Split]]
    regression: np.ndarray

    def right(self, setting: Setting, n_seeds: int, *, views: bool) -> np.ndarray:
        """Say of each picture how often heads of some seeds find its class, shuffle by shuffle."""
        right = np.full(self.regression.shape, np.nan)
        features = self.features if views else self.features[:1]
        for number, (shuffle, split) in enumerate(self.splits):
            right[shuffle, split.test] = 0
            for seed in range(n_seeds):
                training_set, held_out = hold_out(features, LevelTargets.of_one(self.labels), split)
                trained = train_head(training_set, *setting, seed=1000 * seed + number)
                ((logits,),) = held_out.ask([trained.logits])
                said = trained.head.classes[0][logits.argmax(axis=1)]
                found = said == self.labels[split.test]
                right[shuffle, split.test] += found / n_seeds
        return right


def measure(
    embeddings: list[Path],
    views: list[Path] | None,
    level: str | None,
    folds: int,
    shuffles: int,
    seeds: int,
    first: int,
    only: list[str] | None,
) -> None:
    """Print, a line a setting, accuracy and the difference to logistic regression, a file each."""
    arrays = views or [None] * len(embeddings)
    shuffled = range(first, first + shuffles)
    files = [
        _read(path, array, level, folds, shuffled)
        for path, array in zip(embeddings, arrays, strict=True)
    ]
    for file in files:
        regression = mean_over_pictures(file.regression, file.groups)
        print(
            f"{file.name}: {len(file.labels)} pictures, {len(np.unique(file.labels))} classes, "
            f"{len(file.features) - 1} views, logistic regression {_spelled(regression)}",
            flush=True,
        )
    for name, setting in SETTINGS.items():
        if only and name not in only:
            continue
        _print_row(name, files, setting, seeds, views=False)
        if any(len(file.features) > 1 for file in files):
            _print_row(f"{name}, views", files, setting, seeds, views=True)


def _print_row(
    name: str, files: Sequence[Pictures], setting: Setting, seeds: int, *, views: bool
) -> None:
    began, cells = time.process_time(), []
    for file in files:
        right = file.right(setting, seeds, views=views)
        difference = mean_over_pictures(right - file.regression, file.groups)
        cells.append(f"{np.nanmean(right):.4f}  {_spelled(difference, '+')}")
    seconds = (time.process_time() - began) / sum(len(f.splits) for f in files) / seeds
    print(f"{name:<38} {'  |  '.join(cells)}  |  {seconds:.2f} s a head", flush=True)


def _read(
    path: Path, array: Path | None, level: str | None, folds: int, shuffled: range
) -> Pictures:
    """Read a file and its views, split it, and ask the regression on every split."""
    whole = read_embeddings(path)
    chosen = choose_level(whole.levels, level)
    assert chosen is not None
    stored = read_views(path, whole)
    views = np.load(array, allow_pickle=False) if array else stored.features if stored else None
    features = whole.vectors[None]
    if views is not None:
        features = np.concatenate([features, views])
    rows = np.flatnonzero(chosen.codes >= 0)
    kept, labels = whole.take(rows), chosen.codes[rows].astype(np.int64)
    groups = find_copies(kept.vectors, kept.content_sha256).groups
    splits = [
        (place, split)
        for place, seed in enumerate(shuffled)
        for split in StratifiedSplitter(labels, groups).folds(folds, seed)
    ]
    right = np.full((len(shuffled), len(rows)), np.nan)
    for place, split in splits:
        training_set = split.training_set
        said = fit_linear_probe(
            kept.vectors[training_set], labels[training_set], groups[training_set], split.seed
        )
        answers = said(kept.vectors[split.test])
        right[place, split.test] = answers == labels[split.test]
    return Pictures(path.stem, features[:, rows], labels, groups, splits, right)


def _spelled(estimate: Estimate, sign: str = "") -> str:
    low, high = estimate.low or 0.0, estimate.high or 0.0
    return f"{estimate.mean:{sign}.4f} ± {(high - low) / 2:.4f} (from {low:{sign}.4f})"
