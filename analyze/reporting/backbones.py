"""What is known of each backbone: its map, and the clusters that a run found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.reduction.cache import ReductionCache
from analyze.reduction.procrustes import laid_over
from analyze.reduction.stored_maps import stored_maps
from analyze.reporting.clusters import ClusterCard, cluster_cards
from analyze.reporting.run_folders import StoredRun
from analyze.unit_vectors import unit_rows
from extract.catalog.catalog import Level
from extract.storage.embeddings import EmbeddingSet
from extract.workspace import Workspace

PRINCIPAL = "pca:2"


@dataclass(frozen=True, eq=False)
class MapShown:
    """Where the pictures lie in the plane.

    Parameters
    ----------
    points : ndarray of shape (n_images, 2)
    steps : str
        The reduction, as typed.
    seed : int or None
    """

    points: np.ndarray
    steps: str
    seed: int | None

    @property
    def is_principal(self) -> bool:
        """Whether it only projects, since no map was stored."""
        return self.steps == PRINCIPAL


@dataclass(frozen=True, eq=False)
class Clustered:
    """The clusters that a run of ``python -m analyze`` found.

    Parameters
    ----------
    run : StoredRun
    assignments : ndarray of shape (n_images,), int
        Of the pictures of the report.
    matched : mapping of int to str
        The class of a cluster.
    cards : tuple of ClusterCard
    """

    run: StoredRun
    assignments: np.ndarray
    matched: Mapping[int, str]
    cards: tuple[ClusterCard, ...]

    @property
    def scores(self) -> Mapping[str, float | None]:
        """By name, as the run has them."""
        found = self.run.record.get("scores")
        return found if isinstance(found, Mapping) else {}

    @property
    def setting(self) -> str:
        """Reduction and clustering, as typed."""
        record = self.run.record
        return f"{record.get('reduction')} · {record.get('clustering')} {record.get('n_clusters')}"


@dataclass(frozen=True, eq=False)
class Backbone:
    """One embeddings file, on the pictures of the report.

    Parameters
    ----------
    name : str
        Different from those of the others.
    embeddings : EmbeddingSet
    fingerprint : str
        Of the whole file, as results name it.
    file : str
    map : MapShown or None
        None where the rows do not span a plane.
    clustered : Clustered or None
        None where no run was found.
    """

    name: str
    embeddings: EmbeddingSet
    fingerprint: str
    file: str
    map: MapShown | None
    clustered: Clustered | None

    @property
    def is_random(self) -> bool:
        """Whether its weights were never trained."""
        return self.embeddings.provenance.weights == "random"


def find_map(
    workspace: Workspace, whole: EmbeddingSet, rows: np.ndarray, run: StoredRun | None
) -> MapShown | None:
    """Take the stored map of a file; where there is none, principal components.

    Of some it is that of the clusters which are shown, else the first.

    Parameters
    ----------
    workspace : Workspace
    whole : EmbeddingSet
        The file.
    rows : ndarray of int
        Its rows that are in the report, in its order.
    run : StoredRun or None
        Of which clusters are shown.
    """
    stored = stored_maps(workspace.cached_reductions, whole)
    if stored:
        of_run = run.record if run else {}
        own = [each for each in stored if each.name == of_run.get("reduction")]
        same = [each for each in own if each.seed == of_run.get("seed")]
        taken = (same or own or stored)[0]
        return MapShown(taken.points[rows], taken.name, taken.seed)
    vectors = whole.vectors
    if len(vectors) < 3 or vectors.shape[1] < 2 or (vectors == vectors[0]).all():
        return None
    flat = ReductionCache(Path(workspace.cached_reductions))(whole, PRINCIPAL, 0, None).plane
    return None if flat is None else MapShown(flat.points[rows], PRINCIPAL, None)


def lay_over(maps: Sequence[MapShown | None]) -> list[MapShown | None]:
    """Lay maps of the same pictures over the first of them."""
    first = next((each for each in maps if each is not None), None)
    return [
        each
        if each is None or first is None or each is first
        else MapShown(laid_over(each.points, first.points), each.steps, each.seed)
        for each in maps
    ]


def choose_runs(
    runs: Sequence[StoredRun], fingerprints: Sequence[str], level: str | None
) -> list[StoredRun | None]:
    """Find a clustering of each file: of the settings that most files have, the newest.

    Parameters
    ----------
    runs : sequence of StoredRun
        The newest first.
    fingerprints : sequence of str
        Of the files.
    level : str or None
        That clusters must have been compared with, or with none, where one is named.
    """
    of_file: list[dict[tuple[Any, ...], StoredRun]] = [{} for _ in fingerprints]
    order: list[tuple[Any, ...]] = []
    for run in runs:
        if run.kind != "analyze" or len(run.inputs) != 1:
            continue
        if level is not None and run.record.get("level") not in (level, None):
            continue
        keys = ("reduction", "clustering", "n_clusters")
        setting = tuple(str(run.record.get(key)) for key in keys)
        for known, fingerprint in zip(of_file, fingerprints, strict=True):
            if run.inputs[0] == fingerprint:
                known.setdefault(setting, run)
                order.append(setting)
    settings = list(dict.fromkeys(order))
    settings.sort(key=lambda each: -sum(each in known for known in of_file))
    return [next((known[s] for s in settings if s in known), None) for known in of_file]


def read_clusters(
    run: StoredRun,
    embeddings: EmbeddingSet,
    rows: np.ndarray,
    level: Level | None,
    names: Sequence[str] | None,
) -> Clustered | None:
    """Read the clusters of a run; None where its table does not fit the file.

    Parameters
    ----------
    run : StoredRun
        Of the whole file.
    embeddings : EmbeddingSet
        The pictures of the report.
    rows : ndarray of int
        Where they are in the file.
    level : Level or None
        Labels of the pictures of the report.
    names : sequence of str, or None
    """
    try:
        numbers = [int(row["cluster"]) for row in run.rows("assignments")]
    except (KeyError, ValueError, OSError):
        return None
    if len(numbers) != run.record.get("n_images") or (len(rows) and rows.max() >= len(numbers)):
        return None
    assignments = np.array(numbers, np.int32)[rows]
    confusion = run.record.get("confusion")
    given = confusion.get("matched", {}) if isinstance(confusion, Mapping) else {}
    of_level = level is not None and run.record.get("level") == level.name
    known = {*level.categories} if level is not None and of_level else set()
    matched = {int(k): str(v) for k, v in given.items() if str(k).isdigit() and v in known}
    labels = level.values() if level is not None else None
    cards = cluster_cards(embeddings.vectors, assignments, labels, matched, names)
    return Clustered(run, assignments, matched, cards)


def mean_directions(vectors: np.ndarray, codes: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Average the directions of the rows of each number, a row each."""
    unit = unit_rows(vectors)
    return unit_rows(np.stack([unit[codes == number].mean(axis=0) for number in numbers]))
