"""What each geometry is worth: every score of it beside the crop, on the same resamples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np

from analyze.clustering.runs import KeptResults, Run, cluster_all
from analyze.comparison.ranking.criteria import MeanARI, PictureMean, Score
from analyze.head.assessment import assess_head
from analyze.head.training.plan import Plan
from analyze.measures.bootstrap import interval, resampled_weights
from analyze.measures.probes import folds_of, nearest_vote
from analyze.neighbors.indexes.exact_search import nearest_others
from analyze.neighbors.retrieval import rank_all
from analyze.pictures.duplicates import groups_of_equal_bytes
from analyze.pictures.near_duplicates import Copies, find_copies, join_copies
from analyze.unit_vectors import unit_rows
from extract.backbones.registry import load_backbone
from extract.catalog.catalog import Catalog, list_folder
from extract.catalog.manifest import ManifestColumns, list_manifest
from extract.images.decoding import decode_picture
from extract.images.reading import read_picture
from extract.inference.runtimes import prepared
from extract.storage.embeddings import EmbeddingSet, Provenance
from tests.benchmarks.geometries import AVERAGES, BATCH, CROP, GEOMETRIES

BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
REDUCTIONS = ("none", "pca:0.99", "pca:0.99,tsne")
TRAINING_SET = {"logistic regression": "logistic_regression", "head": "head"}
COLUMNS = ("5-NN", "1-NN", "mAP", *(f"ARI {r}" for r in REDUCTIONS), *TRAINING_SET)
TELLS_COPIES = (CROP, "squash", "pad")
"""Whatever is asked, so that splits and resamples are the same."""

N_RESAMPLES = 2000
N_FOLDS = 5
N_PROCESSES = 2
EXECUTION_CONFIG = {"runtime": "openvino", "dtype": "fp32", "batch_size": BATCH, "threads": 1}
"""Decoded and resized by Pillow, as the reference is."""

FOUNDING = ManifestColumns(label="product_category_tree", label_separator=" >> ")
"""The columns of the founding manifest; pictures lie in ``images`` beside it."""

Cell = tuple[str, str]
"""A backbone and a geometry."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """A set of labelled pictures, seen in every way that is measured.

    Parameters
    ----------
    name : str
    labels : ndarray of shape (n_images,), int
    seen : mapping of Cell to EmbeddingSet
        Row by row the same pictures.
    same : Copies
        By bytes, or near-identical to any backbone in a geometry of the product.
    """

    name: str
    labels: np.ndarray
    seen: Mapping[Cell, EmbeddingSet]
    same: Copies


def measure(
    sets: list[Path],
    cache: Path,
    seeds: int,
    shuffles: int,
    only: list[str] | None,
    columns: list[str] | None,
) -> None:
    """Print tables of each set: scores by backbone, means over backbones, the choice on folds."""
    names = [name for name in (*GEOMETRIES, *AVERAGES) if not only or name in (CROP, *only)]
    asked = [column for column in COLUMNS if not columns or column in columns]
    for place in sets:
        pictures = _pictures(_listed(place), names, cache)
        scores = _scores(pictures, asked, seeds, shuffles, cache)
        print("\n".join(Table(pictures, names, asked, scores).lines()), flush=True)


@dataclass(frozen=True, eq=False)
class Table:
    """All scores of one set of pictures.

    Parameters
    ----------
    pictures : Pictures
    geometries, columns : sequence of str
    scores : mapping of (Cell, str) to Score
    """

    pictures: Pictures
    geometries: Sequence[str]
    columns: Sequence[str]
    scores: Mapping[tuple[Cell, str], Score]

    def of(self, weights: np.ndarray) -> np.ndarray:
        """Take every score where pictures count so often.

        Returns
        -------
        ndarray of shape (n_backbones, n_geometries, n_columns, n_resamples), float64
        """
        return np.array(
            [
                [
                    [self.scores[(b, g), c].of(weights) for c in self.columns]
                    for g in self.geometries
                ]
                for b in BACKBONES
            ]
        )

    def lines(self) -> list[str]:
        """Spell it as Markdown: the crop's scores, then each geometry's gain on them."""
        units = self.pictures.same.groups
        whole = self.of(np.ones((len(units), 1), np.int64))[..., 0]
        drawn = np.concatenate(
            [self.of(some) for some in resampled_weights(units, N_RESAMPLES)], axis=-1
        )
        n_classes = len(np.unique(self.pictures.labels))
        titles = ("", "", *self.columns, "mean")
        lines = [
            f"\n{self.pictures.name}: {len(units)} pictures, {n_classes} classes\n",
            f"| {' | '.join(titles)} |",
            f"|{'---|' * len(titles)}",
        ]
        for backbone, own, resampled in zip(BACKBONES, whole, drawn, strict=True):
            lines += self._rows(backbone, own, resampled)
        lines += self._rows("all", whole.mean(axis=0), drawn.mean(axis=0))
        return [*lines, "", *self._seed_errors(), *self._chosen_on_folds()]

    def _rows(self, backbone: str, scores: np.ndarray, drawn: np.ndarray) -> list[str]:
        """Spell the rows of one backbone, of scores (n_geometries, n_columns) and resamples."""
        cells = [[f"{score:.3f}" for score in (*scores[0], scores[0].mean())]]
        for own, resampled in zip(scores[1:] - scores[0], drawn[1:] - drawn[0], strict=True):
            every = [*zip(own, resampled, strict=True), (own.mean(), resampled.mean(axis=0))]
            cells.append([_gain(float(gain), each) for gain, each in every])
        return [
            f"| {' | '.join([backbone, geometry, *row])} |"
            for geometry, row in zip(self.geometries, cells, strict=True)
        ]

    def _seed_errors(self) -> list[str]:
        """Say how far the means over seeds may be off, at most."""
        ones = np.ones((len(self.pictures.labels), 1), np.int64)
        said = []
        for column in (c for c in self.columns if c.startswith("ARI")):
            errors = []
            for (_, name), score in self.scores.items():
                if name == column and isinstance(score, MeanARI):
                    each = [MeanARI(score.labels, [c]).of(ones)[0] for c in score.clusterings]
                    errors.append(np.std(each, ddof=1) / len(each) ** 0.5)
            said.append(f"{column} {np.mean(errors):.4f} (at most {max(errors):.4f})")
        return [f"standard error over seeds: {', '.join(said)}"] if said else []

    def _chosen_on_folds(self) -> list[str]:
        """Choose the best mean on four parts of the pictures, and say what it gains on the fifth.

        Neighbors, clusterings and what is taught are those of all pictures: parts only say which
        pictures are counted.
        """
        labels, units = self.pictures.labels, self.pictures.same.groups
        folds = folds_of(labels, units, n_folds=N_FOLDS)
        apart = folds[:, None] == np.arange(N_FOLDS)
        means = [self.of(side.astype(np.int64)).mean(axis=(0, 2)) for side in (~apart, apart)]
        lines, gained = [], []
        for fold in range(N_FOLDS):
            chosen = int(means[0][:, fold].argmax())
            gained.append(means[1][chosen, fold] - means[1][0, fold])
            lines.append(
                f"fold {fold + 1}: {self.geometries[chosen]}, "
                f"{means[0][chosen, fold] - means[0][0, fold]:+.4f} where it was chosen, "
                f"{gained[-1]:+.4f} apart"
            )
        return [*lines, f"mean of the gains apart: {np.mean(gained):+.4f}"]


def _gain(gain: float, resampled: np.ndarray) -> str:
    low, high = interval(gain, resampled)
    return f"{gain:+.3f} ({low:+.3f} to {high:+.3f})"


def _listed(place: Path) -> Catalog:
    if place.is_dir():
        return list_folder(place)
    return list_manifest(place, FOUNDING, images_dir=place.parent / "images")


def _pictures(catalog: Catalog, names: Sequence[str], cache: Path) -> Pictures:
    """Embed a catalogue in every way; vectors are kept by backbone and geometry."""
    level = catalog.levels[0]
    files = [read_picture(catalog.images_root, path) for path in catalog.paths]
    hashes = np.array([np.frombuffer(file.sha256, np.uint8) for file in files])
    folder = cache / "vectors" / hashlib.sha256(hashes.tobytes()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    parts_of = {name: AVERAGES.get(name, (name,)) for name in names}
    needed = dict.fromkeys([*TELLS_COPIES, *(part for own in parts_of.values() for part in own)])
    cells = [(backbone, name) for name in needed for backbone in BACKBONES]
    embed = joblib.delayed(_vectors)
    made = joblib.Parallel(n_jobs=N_PROCESSES)(embed(catalog, *cell, folder) for cell in cells)
    vectors = dict(zip(cells, made, strict=True))
    seen: dict[Cell, EmbeddingSet] = {}
    for backbone in BACKBONES:
        for name in names:
            parts = [vectors[backbone, part] for part in parts_of[name]]
            if len(parts) > 1:
                parts = [np.mean([unit_rows(part) for part in parts], axis=0, dtype=np.float32)]
            provenance = Provenance({"backbone": backbone, "geometry": name}, ())
            seen[backbone, name] = EmbeddingSet(
                catalog.ids, parts[0], provenance, (level,), content_sha256=hashes
            )
    telling = [own for (_, name), own in vectors.items() if name in TELLS_COPIES]
    same = join_copies([find_copies(own, hashes) for own in telling])
    return Pictures(catalog.name, level.codes, seen, same)


def _vectors(catalog: Catalog, backbone: str, geometry: str, folder: Path) -> np.ndarray:
    """Read the vectors of one geometry, or make them; ndarray (n_images, n_dims)."""
    path = folder / f"{backbone}-{geometry.replace(' ', '_').replace(',', '')}.npy"
    if path.exists():
        kept: np.ndarray = np.load(path)
        return kept
    import torch

    seen, own = GEOMETRIES[geometry], load_backbone(backbone, resize=CROP)
    wanted = seen.preprocessing(own.preprocessing)
    forward = prepared(replace(own, preprocessing=wanted), EXECUTION_CONFIG)
    rows = []
    for first in range(0, len(catalog), BATCH):
        files = [read_picture(catalog.images_root, p) for p in catalog.paths[first : first + BATCH]]
        placed = [seen.pixels(decode_picture(file.content), wanted) for file in files]
        rows.append(forward(torch.from_numpy(np.stack(placed))).numpy().copy())
    vectors = np.concatenate(rows)
    np.save(path, vectors)
    return vectors


def _scores(
    pictures: Pictures, columns: Sequence[str], seeds: int, shuffles: int, cache: Path
) -> dict[tuple[Cell, str], Score]:
    """Score every way of seeing, by every column."""
    labels = pictures.labels
    scores: dict[tuple[Cell, str], Score] = {}
    for cell, embeddings in pictures.seen.items():
        groups = groups_of_equal_bytes(embeddings.content_sha256, len(labels))
        nearest = nearest_others(embeddings.vectors, 5, groups)
        for column, k in (("5-NN", 5), ("1-NN", 1)):
            scores[cell, column] = PictureMean(nearest_vote(nearest, labels, k))
        ranked = rank_all(embeddings.vectors, labels, groups)
        found = np.full(len(labels), np.nan)
        found[ranked.rows] = ranked.average_precision
        scores[cell, "mAP"] = PictureMean(found)
    asked = [r for r in REDUCTIONS if f"ARI {r}" in columns]
    scores |= _clustered(pictures, asked, seeds, cache)
    if set(TRAINING_SET) & set(columns):
        cells = list(pictures.seen)
        right = joblib.Parallel(n_jobs=N_PROCESSES)(
            joblib.delayed(_taught)(pictures.seen[cell], pictures.same, shuffles, cache)
            for cell in cells
        )
        for cell, own in zip(cells, right, strict=True):
            scores |= {(cell, c): PictureMean(v) for c, v in zip(TRAINING_SET, own, strict=True)}
    return scores


def _clustered(
    pictures: Pictures, reductions: Sequence[str], seeds: int, cache: Path
) -> dict[tuple[Cell, str], Score]:
    """Cluster by k-means, as many clusters as classes, the seed given to both steps."""
    labels, n_clusters = pictures.labels, len(np.unique(pictures.labels))
    bare = {
        cell: EmbeddingSet(each.ids, each.vectors, each.provenance)
        for cell, each in pictures.seen.items()
    }
    keys = [(cell, reduction) for reduction in reductions for cell in bare]
    runs = [Run(bare[cell], r, n_clusters, seed) for cell, r in keys for seed in range(seeds)]
    kept = KeptResults(None, cache / "clusterings")
    found = [c.assignments for c in cluster_all(runs, kept, n_jobs=N_PROCESSES)]
    return {
        (cell, f"ARI {reduction}"): MeanARI(labels, found[i * seeds : (i + 1) * seeds])
        for i, (cell, reduction) in enumerate(keys)
    }


def _taught(embeddings: EmbeddingSet, same: Copies, shuffles: int, cache: Path) -> np.ndarray:
    """Say how often the regression and the head are right of each picture; (2, n_images)."""
    words = f"{embeddings.fingerprint} {shuffles} {same.groups.tolist()}"
    path = cache / "taught" / f"{hashlib.sha256(words.encode()).hexdigest()[:16]}.npy"
    if path.exists():
        kept: np.ndarray = np.load(path)
        return kept
    plan = Plan(n_folds=N_FOLDS, n_shuffles=shuffles)
    report = assess_head(embeddings, plan=plan, copies=same, keep=False)
    answers = [np.stack(list(report.predicted[name])) for name in TRAINING_SET.values()]
    right = np.array(
        [np.where(a >= 0, a == report.labels, np.nan).mean(axis=0) for a in answers], np.float64
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, right)
    return right
