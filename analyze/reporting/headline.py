"""Which run the first sentence speaks of, and what other runs of the same vectors say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyze.reporting.backbones import Backbone
from analyze.reporting.messages import Words
from analyze.reporting.run_folders import StoredRun
from analyze.reporting.sections import number_of
from extract.catalog.catalog import Level


@dataclass(frozen=True)
class OtherScore:
    """What another run says of the same vectors.

    Parameters
    ----------
    results : str
        Its folder.
    setting : str
        Reduction and clustering, as typed.
    n_seeds : int
        Over which the score is a mean.
    score : float
    """

    results: str
    setting: str
    n_seeds: int
    score: float


@dataclass(frozen=True)
class Headline:
    """The run of the first sentence.

    Parameters
    ----------
    results : str
        Its folder.
    setting : str
    seed : int or None
    metric : str
        ``ari``, or ``silhouette`` without labels.
    score : float
    others : tuple of OtherScore
        The lowest first.
    """

    results: str
    setting: str
    seed: int | None
    metric: str
    score: float
    others: tuple[OtherScore, ...]

    def text(self, words: Words) -> str:
        """Name the run, and give the lowest and highest score of others where they differ."""
        seed = "-" if self.seed is None else self.seed
        own = words("headline_run", run=self.results, setting=self.setting, seed=seed)
        spelled = [words.number(each.score) for each in self.others]
        if {*spelled} <= {words.number(self.score)}:
            return own
        about = {"metric": words(self.metric), "n": words.count(len(self.others))}
        low, high = (self._named(each, words) for each in (self.others[0], self.others[-1]))
        key = "headline_others" if spelled[0] != spelled[-1] else "headline_other"
        return f"{own} {words(key, low=low, high=high, **about)}"

    def _named(self, other: OtherScore, words: Words) -> str:
        seeds = f", {words('n_seeds', n=other.n_seeds)}" if other.n_seeds > 1 else ""
        return f"{words.number(other.score)} ({other.setting}{seeds})"

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        return {**vars(self), "others": [vars(each) for each in self.others]}


def headline_of(best: Backbone, level: Level | None, runs: Sequence[StoredRun]) -> Headline | None:
    """Find the run that the first sentence speaks of; None where nothing is clustered.

    Parameters
    ----------
    best : Backbone
    level : Level or None
        Runs that were compared with another one say nothing of it.
    runs : sequence of StoredRun
        All of these embeddings.
    """
    clustered = best.clustered
    if clustered is None or best.is_random:
        return None
    known = {key: number_of(clustered.scores.get(key)) for key in ("ari", "silhouette")}
    metric = "ari" if level is not None and known["ari"] is not None else "silhouette"
    score = known[metric]
    if score is None:
        return None
    of_level = None if level is None else level.name
    others = [
        other
        for run in runs
        if run is not clustered.run
        for other in _scores(run, best, of_level, metric)
    ]
    others.sort(key=lambda each: each.score)
    seed = clustered.run.record.get("seed")
    return Headline(
        clustered.run.folder.name,
        clustered.setting,
        seed if isinstance(seed, int) else None,
        metric,
        score,
        tuple(others),
    )


def _scores(run: StoredRun, best: Backbone, level: str | None, metric: str) -> Iterator[OtherScore]:
    """Give the score of a clustering, or the means of a comparison, of these vectors."""
    record = run.record
    if run.kind == "analyze" and run.inputs == (best.fingerprint,):
        scores = record.get("scores")
        score = number_of(scores.get(metric)) if isinstance(scores, Mapping) else None
        if record.get("level") == level and score is not None:
            k = record.get("n_clusters")
            setting = f"{record.get('reduction')} · {record.get('clustering')} {k}"
            yield OtherScore(run.folder.name, setting, 1, score)
    cells = record.get("cells") if run.kind == "compare" else None
    identity = best.embeddings.provenance.short_identity
    for cell in cells if isinstance(cells, list) else ():
        if not isinstance(cell, Mapping) or cell.get("identity") != identity:
            continue
        mean, n_seeds = number_of(cell.get("mean")), cell.get("n_seeds")
        if (cell.get("level"), cell.get("metric")) != (level, metric) or mean is None:
            continue
        setting = f"{cell.get('reduction')} · {cell.get('clustering')}"
        yield OtherScore(run.folder.name, setting, n_seeds if isinstance(n_seeds, int) else 1, mean)
