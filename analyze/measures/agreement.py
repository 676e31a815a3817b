"""How well clusters agree with classes: chance-corrected scores and an aligned confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from analyze.measures.confusion_figure import confusion_chart
from analyze.measures.contingency_metrics import METRICS, NOISE, JointTables, match
from extract.catalog.catalog import MISSING_LABEL, Level
from extract.errors import UsageError
from extract.storage.arrays import Labels
from extract.storage.embeddings import EmbeddingSet, first_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class ClassScore:
    """How one class was found.

    Parameters
    ----------
    name : str
    n_images : int
    cluster : int or None
        The cluster matched to it.
    recall : float
        Share of the class that lies in its cluster; 0 without one.
    precision : float or None
        Share of its cluster that is of the class; None without one, or for an empty cluster.
    """

    name: str
    n_images: int
    cluster: int | None
    recall: float
    precision: float | None


@dataclass(frozen=True, eq=False)
class Agreement:
    """Clusters against classes.

    Parameters
    ----------
    classes : tuple of str
        Those with at least one row, in the level's order.
    clusters : tuple of int
        Column order of the matrix: the cluster matched to each class in turn, then the rest, then
        -1 where some rows are noise.
    confusion : ndarray of shape (n_classes, n_clusters), int
        Counts of labelled rows; noise has a column too.
    cluster_to_class : mapping of int to str
        One-to-one on min(classes, clusters) pairs; other clusters are unmatched, and noise always.
    scores : mapping of str to float or None
        None where a score would not be informative.
    n_labelled : int
    notes : tuple of str
    """

    classes: tuple[str, ...]
    clusters: tuple[int, ...]
    confusion: np.ndarray
    cluster_to_class: Mapping[int, str]
    scores: Mapping[str, float | None]
    n_labelled: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.classes), len(self.clusters))
        if self.confusion.shape != shape:
            raise ValueError(f"confusion must have shape {shape}, got {self.confusion.shape}")
        most = min(shape[0], shape[1] - (NOISE in self.clusters))
        if len(self.cluster_to_class) != most or NOISE in self.cluster_to_class:
            raise ValueError(f"{most} clusters must be matched, got {self.cluster_to_class}")
        if len(set(self.cluster_to_class.values())) != len(self.cluster_to_class):
            raise ValueError("two clusters are matched to one class")

    def __repr__(self) -> str:
        """How many classes and clusters, and their adjusted Rand index."""
        ari = self.scores.get("ari")
        score = "no score" if ari is None else f"ARI {ari:.3f}"
        words = f"{len(self.classes)} classes, {len(self.clusters)} clusters"
        return f"{type(self).__name__}({words}, {self.n_labelled} rows with a label, {score})"

    def to_frame(self) -> pd.DataFrame:
        """The confusion matrix as a pandas frame: a row a class, a column a cluster, counts."""
        import pandas as pd

        rows = pd.Index(self.classes, name="class")
        columns = pd.Index(self.clusters, name="cluster")
        return pd.DataFrame(self.confusion, index=rows, columns=columns)

    def plot_confusion(self, ax: Axes | None = None) -> Axes:
        """Axes with the confusion matrix: colors are shares of the class, numbers rows.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Examples
        --------
        >>> from analyze import agree
        >>> agree(["cup", "hat", "hat"], [1, 0, 0]).plot_confusion().get_ylabel()
        'class'
        """
        ari = self.scores.get("ari")
        about = f"{self.n_labelled} rows" + ("" if ari is None else f" · ARI {ari:.3f}")
        return confusion_chart(self, title="Clusters and classes", subtitle=about).plot(ax)

    @property
    def unmatched(self) -> tuple[int, ...]:
        """Clusters that are matched to no class; noise is no cluster."""
        return tuple(c for c in self.clusters if c not in self.cluster_to_class and c != NOISE)

    def class_scores(self) -> tuple[ClassScore, ...]:
        """Recall and precision of each class, by its matched cluster."""
        cluster_of = {name: number for number, name in self.cluster_to_class.items()}
        scores = []
        for i, name in enumerate(self.classes):
            n_images = int(self.confusion[i].sum())
            if name not in cluster_of:
                scores.append(ClassScore(name, n_images, None, 0.0, None))
                continue
            column = self.confusion[:, self.clusters.index(cluster_of[name])]
            precision = float(column[i] / column.sum()) if column.sum() else None
            recall = float(column[i] / n_images)
            scores.append(ClassScore(name, n_images, cluster_of[name], recall, precision))
        return tuple(scores)


def score_clusters(
    labels: np.ndarray, assignments: np.ndarray
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Score clusters against classes on the rows that have a label.

    Parameters
    ----------
    labels : ndarray of shape (n_images,), int
        -1 where a row has no label.
    assignments : ndarray of shape (n_images,), int

    Returns
    -------
    scores : dict of str to float or None
        None where a score would not be informative.
    notes : tuple of str
        What was left out or is not informative.
    """
    labelled = labels != MISSING_LABEL
    present, codes = np.unique(labels[labelled], return_inverse=True)
    scores: dict[str, float | None] = dict.fromkeys(METRICS)
    notes = []
    if not labelled.all():
        notes.append(f"scores are on the {int(labelled.sum())} rows with a label")
    if len(present) < 2:
        notes.append("one class: scores against it are not informative")
    elif len(present) == len(codes):
        notes.append("every picture a class of its own: scores are not informative")
    else:
        tables = JointTables.of(codes, assignments[labelled])
        scores |= {name: float(metric(tables)[0]) for name, metric in METRICS.items()}
    return scores, tuple(notes)


@runtime_checkable
class Clustered(Protocol):
    """What a clustering tells of its rows."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the rows."""

    @property
    def assignments(self) -> np.ndarray:
        """Cluster of each row; -1 is noise."""

    @property
    def n_clusters(self) -> int:
        """How many clusters there are, empty ones too."""


def agree(
    labels: EmbeddingSet | Level | Labels,
    clusters: Clustered | Sequence[int] | np.ndarray,
    n_clusters: int | None = None,
) -> Agreement:
    """Scores and the confusion matrix of clusters and classes, on the rows that have a label.

    Parameters
    ----------
    labels : EmbeddingSet, Level, or labels as of :meth:`EmbeddingSet.from_arrays`
        One level of labels; the first of a set. Those by id are joined to a clustering's ids.
    clusters : Clustering or sequence of int
        A cluster a row, from 0 on; -1 is noise, which is matched to no class.
    n_clusters : int, optional
        Of a sequence, where some may be empty; without it, as many as its highest number.

    Raises
    ------
    UsageError
        When no row has a label, labels and clusters are not of the same rows, or are swapped.

    Examples
    --------
    >>> from analyze import agree
    >>> found = agree(["cup", "cup", "hat", "hat"], [1, 1, 0, 0])
    >>> found
    Agreement(2 classes, 2 clusters, 4 rows with a label, ARI 1.000)
    >>> found.to_frame()
    cluster  1  0
    class
    cup      2  0
    hat      0  2
    """
    if isinstance(labels, Clustered):
        raise UsageError("labels: a clustering; labels come first, as in agree(labels, clusters)")
    if isinstance(clusters, Sequence | np.ndarray):
        assignments = np.asarray(clusters)
        if assignments.dtype.kind not in "iu" or assignments.ndim != 1 or not assignments.size:
            raise UsageError("clusters: give one whole number a row, -1 where a row is noise")
        if assignments.min() < NOISE:
            raise UsageError(f"clusters: {assignments.min()} is below -1, which is noise")
        ids = tuple(map(str, range(len(assignments))))
        number = int(assignments.max()) + 1 if n_clusters is None else n_clusters
    else:
        assignments, ids, number = clusters.assignments, clusters.ids, clusters.n_clusters
    level = first_level(labels, ids)
    return _agreement(level.codes, level.categories, assignments, number)


def _agreement(
    labels: np.ndarray, categories: Sequence[str], assignments: np.ndarray, n_clusters: int
) -> Agreement:
    labelled = labels != MISSING_LABEL
    if not labelled.any():
        raise UsageError("labels: no row has one; clusters are compared with classes")
    present, codes = np.unique(labels[labelled], return_inverse=True)
    classes = tuple(categories[i] for i in present)
    has_noise = bool((assignments == NOISE).any())
    # the column behind the last cluster is that of noise, which -1 finds
    with_noise = np.zeros((len(classes), n_clusters + has_noise), dtype=np.int64)
    np.add.at(with_noise, (codes, assignments[labelled]), 1)
    confusion = with_noise[:, :n_clusters]
    # columns by content first, so that neither ties nor the rest depend on cluster numbers
    by_content = np.lexsort([*-confusion[::-1], -confusion.sum(axis=0)])
    matched_classes, places = match(confusion[:, by_content])
    matched_clusters = by_content[places]
    order = matched_clusters.tolist()
    matched = set(order)
    order += [c for c in by_content.tolist() if c not in matched]
    order += [NOISE] * has_noise
    scores, notes = score_clusters(labels, assignments)
    return Agreement(
        classes=classes,
        clusters=tuple(order),
        confusion=with_noise[:, order],
        cluster_to_class={
            int(cluster): classes[i]
            for i, cluster in zip(matched_classes, matched_clusters, strict=True)
        },
        scores=scores,
        n_labelled=int(labelled.sum()),
        notes=notes,
    )
