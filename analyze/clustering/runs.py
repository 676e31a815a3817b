"""Many clusterings: those kept before are read, the others are spread over processes."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analyze.clustering.cache import ClusteringCache
from analyze.clustering.clustering import Clustering, cluster, clustering_spec, number_of_clusters
from analyze.reduction.cache import ReductionCache
from analyze.reduction.reduction import Progress, Reduced, parse_steps, reduce, uses_chance
from analyze.reduction.steps import say_umap_compiles
from extract.storage.embeddings import EmbeddingSet
from extract.workspace import AnyPath

log = logging.getLogger("sosie")

PROCESSES_PAY_SECONDS = 3.0
"""Less work than that, by a rough estimate, is done before other processes have started."""

SLOW = ("tsne", "umap")
OF_ALL_PAIRS = ("agglomerative", "spectral", "hdbscan")


@dataclass(frozen=True, eq=False)
class Run:
    """One reduction and one clustering, both by the same seed.

    Parameters
    ----------
    embeddings : EmbeddingSet
    reduction : str
        Steps as typed.
    n_clusters : int
        Passed over by a clustering that finds their number.
    seed : int
    method : str
        A name of :data:`analyze.clustering.clustering.CLUSTERINGS`.
    """

    embeddings: EmbeddingSet
    reduction: str
    n_clusters: int
    seed: int
    method: str = "kmeans"

    @property
    def uses_chance(self) -> bool:
        """Whether the reduction depends on the seed."""
        return uses_chance(parse_steps(self.reduction))

    @property
    def answer(self) -> tuple[object, ...]:
        """What the answer depends on: runs that are equal in this have one answer."""
        spec = clustering_spec(self.method)
        return (
            *_shared_key(self),
            self.method,
            self.n_clusters if spec.takes_k else None,
            self.seed if self.uses_chance or spec.uses_chance else None,
        )

    @property
    def seconds(self) -> float:
        """About how long it takes, to begin with the longest: measured on one core, by order."""
        n_rows, n_dims = map(int, self.embeddings.vectors.shape)
        pairs = self.method in OF_ALL_PAIRS
        clustering: float = n_rows * n_dims * (1e-9 * n_rows if pairs else 4e-8 * self.n_clusters)
        slow = any(step.method in SLOW for step in parse_steps(self.reduction))
        return clustering + (4e-3 * n_rows if slow else 0)


@dataclass(frozen=True)
class KeptResults:
    """Where results are kept between runs; None where they are not.

    Parameters
    ----------
    reductions, clusterings : Path or None
        Folders.
    """

    reductions: Path | None = None
    clusterings: Path | None = None

    def read(self, run: Run) -> Clustering | None:
        """Give a clustering that is kept."""
        if self.clusterings is None:
            return None
        cache = ClusteringCache(self.clusterings)
        return cache.read(run.embeddings, run.reduction, run.n_clusters, run.seed, run.method)

    def reduce(self, run: Run) -> Reduced:
        """Reduce, or read; without what places new vectors, which nobody needs here."""
        if self.reductions is None:
            reduced = reduce(run.embeddings, run.reduction, run.seed)
        else:
            reduced = ReductionCache(self.reductions)(run.embeddings, run.reduction, run.seed, None)
        return replace(reduced, place=None)

    def cluster(self, run: Run, reduced: Reduced | None) -> tuple[np.ndarray, tuple[str, ...]]:
        """Cluster, reducing first where that is not done, and keep the answer with its notes."""
        reduced = self.reduce(run) if reduced is None else reduced
        clustering = cluster(reduced, run.n_clusters, run.seed, run.method)
        clustering = replace(clustering, notes=(*reduced.notes, *clustering.notes))
        if self.clusterings is not None:
            cache = ClusteringCache(self.clusterings)
            cache.write(run.embeddings, run.reduction, clustering)
        return clustering.assignments, clustering.notes


@dataclass(frozen=True)
class Execution:
    """How results are computed, what is kept and how progress is reported: no number depends on it.

    Parameters
    ----------
    reduction_cache, clustering_cache : path, optional
        Folders that keep results between runs; nothing is kept without.
    n_jobs : int, optional
        Processes; as many as there are cores. Where one analysis is made it is one.
    progress, resampling_progress : callable, optional
        Called with how many clusterings or embeddings are done and how many there are; then with
        resamples.

    Examples
    --------
    >>> from analyze import Execution
    >>> Execution("cache/reductions", n_jobs=2).n_jobs
    2
    """

    reduction_cache: AnyPath | None = None
    clustering_cache: AnyPath | None = None
    n_jobs: int | None = None
    progress: Progress | None = None
    resampling_progress: Progress | None = None

    @property
    def kept(self) -> KeptResults:
        """Where results are kept."""
        folders = self.reduction_cache, self.clustering_cache
        return KeptResults(*(None if folder is None else Path(folder) for folder in folders))

    def reduce(
        self, embeddings: EmbeddingSet, reduction: str, seed: int, progress: Progress | None
    ) -> Reduced:
        """Reduce, or read what is kept."""
        if self.reduction_cache is None:
            return reduce(embeddings, reduction, seed, progress)
        cache = ReductionCache(Path(self.reduction_cache))
        return cache(embeddings, reduction, seed, progress)


PLAIN = Execution()
"""Nothing is kept between runs."""


def cluster_all(
    runs: Sequence[Run],
    kept: KeptResults,
    *,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> list[Clustering]:
    """Give the clustering of each run, in their order, whatever order they were done in.

    What no seed changes, reduction or clustering, is computed once for all seeds. Each run is on
    one thread, so that the numbers do not depend on how many run at a time.

    Parameters
    ----------
    n_jobs : int, optional
        Processes; as many as there are cores.
    progress : callable, optional
        Called with the runs done and their total, those kept before left out.
    """
    found = [kept.read(run) for run in runs]
    asking: dict[tuple[object, ...], list[int]] = {}
    for i, clustering in enumerate(found):
        if clustering is None:
            asking.setdefault(runs[i].answer, []).append(i)
    n_missing = sum(clustering is None for clustering in found)
    missing = sorted((i for i, *_ in asking.values()), key=lambda i: -runs[i].seconds)
    n_jobs = _processes([runs[i] for i in missing], n_jobs)
    shared = _shared_reductions([runs[i] for i in missing], kept, n_jobs)
    tasks = [(i, runs[i], shared.get(_shared_key(runs[i]))) for i in missing]
    done = 0
    for i, (assignments, notes) in _outcomes(kept.cluster, tasks, n_jobs):
        for same in asking[runs[i].answer]:
            found[same] = _clustering(runs[same], assignments, notes)
            done += 1
            if progress:
                progress(done, n_missing)
    return [clustering for clustering in found if clustering is not None]


def _clustering(run: Run, assignments: np.ndarray, notes: tuple[str, ...]) -> Clustering:
    number = number_of_clusters(run.method, run.n_clusters, assignments)
    return Clustering(run.embeddings.ids, assignments, number, run.method, run.seed, notes)


def _processes(runs: Sequence[Run], wanted: int | None) -> int:
    """Say how many processes are worth starting; 1 is this one."""
    from joblib import cpu_count

    if sum(run.seconds for run in runs) < PROCESSES_PAY_SECONDS:
        return 1
    return max(1, min(cpu_count() if wanted is None else wanted, len(runs)))


def _shared_key(run: Run) -> tuple[int, str]:
    return id(run.embeddings), run.reduction


def _shared_reductions(
    runs: Iterable[Run], kept: KeptResults, n_jobs: int
) -> dict[tuple[int, str], Reduced]:
    """Reduce once what no seed changes."""
    once: dict[tuple[int, str], Run] = {}
    for run in runs:
        if not run.uses_chance:
            once.setdefault(_shared_key(run), run)
    keys = list(once)
    tasks = [(i, once[key]) for i, key in enumerate(keys)]
    return {keys[i]: reduced for i, reduced in _outcomes(kept.reduce, tasks, n_jobs)}


def _outcomes(
    work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], n_jobs: int
) -> Iterator[tuple[int, Any]]:
    """Do ``work(*arguments)`` for each ``(number, *arguments)``, giving numbers and outcomes."""
    if n_jobs == 1 or len(tasks) < 2:
        for number, *arguments in tasks:
            yield number, work(*arguments)
        return
    from joblib import Parallel, delayed

    if any("umap" in run.reduction for _, run, *_ in tasks):
        say_umap_compiles()
    with _quiet_tracker(), _no_orphans():
        pool = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
        yield from pool(delayed(_in_worker)(log.level, work, *task) for task in tasks)


def _in_worker(level: int, work: Callable[..., Any], number: int, *arguments: Any) -> Any:
    log.setLevel(level)  # as in the process that started this one,
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which also ends it
    return number, work(*arguments)


@contextmanager
def _quiet_tracker() -> Iterator[None]:
    """Let joblib's cleaner, a process that outlives this one, clean up without a word.

    When a signal ends all processes at once it finds gone what it was to remove, and would say so
    below the last line of the command.
    """
    before = os.environ.get("PYTHONWARNINGS")
    filters = [each for each in (before, "ignore:resource_tracker") if each]
    os.environ["PYTHONWARNINGS"] = ",".join(filters)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


@contextmanager
def _no_orphans() -> Iterator[None]:
    """End the other processes at once when this one is stopped or one of them fails."""
    try:
        yield
    except BaseException:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True, kill_workers=True)
        raise
