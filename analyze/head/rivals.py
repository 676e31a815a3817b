"""Heads on several backbones: the same pictures, splits and seeds, and which is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from analyze.comparison.pairwise_tests import SURE, spell_verdict
from analyze.comparison.scores import NOT_DISTINGUISHED
from analyze.head.assessment import Chooser, assess_task, choose_task
from analyze.head.reporting.report import HEAD, HeadReport
from analyze.head.reporting.runs import epochs_of, seconds_of
from analyze.head.tasks.multi_label import choose_multi_label
from analyze.head.tasks.pictures import stacked_views
from analyze.head.training.plan import Progress
from analyze.head.training.spec import Plan
from analyze.measures.alignment import align_labels, level_meant
from analyze.measures.bootstrap import adjusted_by_holm
from analyze.measures.estimates import Estimate, mean_over_pictures
from analyze.pictures.near_duplicates import Copies, find_copies, join_copies
from extract.catalog.catalog import Level
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet

COUNTED = (
    "McNemar's exact test counts every picture once, copies as one: as right where more than half "
    "of the answers about it are"
)


class Contender(NamedTuple):
    """The vectors of one backbone, and the views that its heads train on too.

    Parameters
    ----------
    views : ndarray of shape (n_views, n_images, n_dims), float32, optional
    """

    embeddings: EmbeddingSet
    views: np.ndarray | None = None


class Discordant(NamedTuple):
    """Pictures that one of two heads has right and the other wrong, copies counted as one."""

    only_first: int
    only_second: int

    @property
    def p_value(self) -> float:
        """McNemar's exact test: how rarely a fair coin parts them so unevenly; two-sided."""
        from scipy.stats import binomtest

        n = sum(self)
        return float(binomtest(self.only_first, n, 0.5).pvalue) if n else 1.0


@dataclass(frozen=True, eq=False)
class Rival:
    """One backbone that a head was held against.

    Parameters
    ----------
    name : str
        For people; different from that of every other.
    report : HeadReport
        Of its own heads.
    difference : Estimate
        Accuracy of the head compared minus that of this one, picture by picture.
    differences : mapping of str to Estimate
        Of what else the kind of labels is scored by (:meth:`HeadReport.differences_to`).
    discordant : Discordant
        The head compared first.
    p_adjusted : float
        McNemar's, adjusted by Holm for all rivals.
    verdict : str
        In words.
    """

    name: str
    report: HeadReport
    difference: Estimate
    differences: Mapping[str, Estimate]
    discordant: Discordant
    p_adjusted: float
    verdict: str

    @property
    def distinguished(self) -> bool:
        """Whether one is better."""
        return NOT_DISTINGUISHED not in self.verdict

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read."""
        report_json = self.report.to_json()
        made = ("model", "identity", "weights", "resize", "pooling")
        own = [*self.report.scores_json(), "baselines", "classes", "confusion", "levels"]
        return {
            **{
                name: report_json[name]
                for name in (*made, *own, "hierarchical_f1")
                if name in report_json
            },
            "difference": self.difference.to_json(),
            "differences": {name: own.to_json() for name, own in self.differences.items()},
            "only_right": {
                "head": self.discordant.only_first,
                "rival": self.discordant.only_second,
            },
            "mcnemar_p": self.discordant.p_value,
            "p_adjusted": self.p_adjusted,
            "verdict": self.verdict,
            "seconds": seconds_of(self.report.runs),
            "epochs": epochs_of(self.report.runs),
        }


@dataclass(frozen=True, eq=False)
class HeadComparison:
    """A head and its rivals, all on the same pictures and splits.

    Parameters
    ----------
    name : str
        Of the head compared.
    report : HeadReport
        Of the head compared.
    """

    name: str
    report: HeadReport
    rivals: tuple[Rival, ...]
    notes: tuple[str, ...]

    @property
    def named_reports(self) -> dict[str, HeadReport]:
        """All reports by name, that of the head compared first."""
        return {self.name: self.report, **{rival.name: rival.report for rival in self.rivals}}

    def to_json(self) -> dict[str, Any]:
        """Spell it as the report of the head, its rivals under ``against``."""
        report_json = self.report.to_json()
        report_json["against"] = [rival.to_json() for rival in self.rivals]
        report_json["notes"] = list(dict.fromkeys([*self.notes, *report_json["notes"]]))
        return report_json


def compare_heads(
    contenders: Sequence[Contender],
    *,
    level: str | None = None,
    plan: Plan | None = None,
    choosers: Sequence[Chooser | None] | None = None,
    progress: Progress | None = None,
) -> HeadComparison:
    """Train heads of every backbone on the same splits, and hold the first against the others.

    Parameters
    ----------
    contenders : sequence of Contender
        The head compared first; one rival or more after it.
    level : str, optional
        Name or number of a level of labels, or of a column of several; default the first.
    choosers : sequence of callable, optional
        Of each contender, what chooses settings for a split; default those of the plan.
    progress : callable, optional
        Called with the number of trainings, of all backbones, that are done.

    Raises
    ------
    UsageError
        When files have no picture or label in common, or there is nothing to train on.
    """
    if len(contenders) < 2:
        raise UsageError("nothing to compare: name another backbone with --against NAME")
    plan = plan or Plan()
    names, same, notes = _same_pictures(contenders, level, plan.n_levels)
    found = [find_copies(e.vectors, e.content_sha256, e.groups) for e, _ in same]
    copies = join_copies(found)
    reports = [
        assess_task(
            choose_task(embeddings, views, embeddings.labels[0].name, plan, copies),
            plan,
            choose,
            keep=i == 0,
            progress=part_of(progress, i, len(same)),
        )
        for i, ((embeddings, views), choose) in enumerate(
            zip(same, choosers or [None] * len(same), strict=True)
        )
    ]
    first = reports[0]
    if any(other.ids != first.ids for other in reports):
        raise AssertionError("every head must be tested on the same pictures")
    notes += _notes_of(names, reports, found, copies)
    notes.append(COUNTED)
    return HeadComparison(
        names[0], first, _rivals(names, reports, plan), tuple(dict.fromkeys(notes))
    )


def count_discordant(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> Discordant:
    """Count pictures that one has right and the other wrong, each once, by most of its answers.

    Parameters
    ----------
    first, second : ndarray of shape (n_runs, n_images), float
        1 right, 0 wrong, NaN where a run did not test a picture.
    groups : ndarray of shape (n_images,), int
        Copies have one number, and count as one picture.
    """
    _, places = np.unique(groups, return_inverse=True)
    tested = ~np.isnan(first)
    if (tested != ~np.isnan(second)).any():
        raise ValueError("both must be tested on the same pictures")
    times = np.bincount(places, tested.sum(axis=0))
    by_most = [
        2 * np.bincount(places, np.nansum(right, axis=0)) > times for right in (first, second)
    ]
    one, other = by_most
    return Discordant(int((one & ~other).sum()), int((other & ~one).sum()))


def _same_pictures(
    contenders: Sequence[Contender], level: str | None, n_levels: int
) -> tuple[tuple[str, ...], list[Contender], list[str]]:
    """Keep what all can be trained and tested on; what the first loses by that is counted."""
    files = [each.embeddings for each in contenders]
    aligned = align_labels(files, _columns_meant(files, level, n_levels))
    sets, columns = aligned.embedding_sets, aligned.embedding_sets[0].columns
    views = [_in_step(c, e.ids) for c, e in zip(contenders, sets, strict=True)]
    stacks = [stacked_views(e, v) for e, v in zip(sets, views, strict=True)]
    usable = [np.isfinite(each).all(axis=(0, 2)) & each.any(axis=2).all(axis=0) for each in stacks]
    labelled = aligned.labelled
    of_all = np.logical_and.reduce(usable)
    rows = np.flatnonzero(of_all | ~labelled)
    notes = [
        f"{name}: {n} labelled pictures have no vector that can be used"
        for name, own in zip(aligned.names, usable, strict=True)
        if (n := int((labelled & ~own).sum()))
    ]
    same = []
    for contender, embeddings, own in zip(contenders, sets, views, strict=True):
        lost = {
            "not the same in all files": len(contender.embeddings) - len(embeddings),
            "not usable in all files": len(embeddings) - len(rows),
        }
        left_out = {**embeddings.left_out, **{why: n for why, n in lost.items() if n}}
        kept = replace(
            embeddings,
            levels=aligned.levels,
            multi_labels=aligned.multi_labels,
            columns=columns,
            left_out=left_out,
        )
        same.append(Contender(kept.take(rows), None if own is None else own[:, rows]))
    return aligned.names, same, [*aligned.notes, *notes]


def _columns_meant(
    files: Sequence[EmbeddingSet], wanted: str | None, n_levels: int
) -> Sequence[Level | MultiLabel]:
    """Find what is to be learned, as the file does that knows most of it: a column, those below."""
    named = [s for s in files if wanted in [own.name for own in s.labels]]
    ranked = [*named, *sorted(files, key=lambda s: (not s.levels, not s.multi_labels))]
    chosen = choose_multi_label(ranked[0], wanted, n_levels)
    name = (chosen or level_meant(files, wanted)).name
    known: list[Sequence[Level | MultiLabel]] = [
        s.multi_labels if chosen else s.levels for s in files
    ]
    below = [own[i : i + n_levels] for own in known for i, c in enumerate(own) if c.name == name]
    return max(below, key=len)


def _in_step(contender: Contender, ids: Sequence[str]) -> np.ndarray | None:
    """Give the views of some pictures, in their order."""
    if contender.views is None:
        return None
    row_of = {row_id: i for i, row_id in enumerate(contender.embeddings.ids)}
    return contender.views[:, [row_of[row_id] for row_id in ids]]


def part_of(progress: Progress | None, number: int, n_parts: int) -> Callable[[int, int], None]:
    """Tell of one part's trainings as of some among those of all."""

    def tell(done: int, n_trainings: int) -> None:
        if progress is not None:
            progress(number * n_trainings + done, n_parts * n_trainings)

    return tell


def _notes_of(
    names: Sequence[str], reports: Sequence[HeadReport], found: Sequence[Copies], copies: Copies
) -> list[str]:
    """Return the notes of each backbone, by its name unless they hold for all."""
    notes = [
        f"{name}: {note}" for name, own in zip(names, found, strict=True) for note in own.notes
    ]
    for name, report in zip(names, reports, strict=True):
        if report.provenance.weights == "random":
            notes.append(f"{name}: nothing in these weights was learned")
        shared = {*reports[0].notes, *copies.notes}
        notes += [f"{name}: {note}" for note in report.notes if note not in shared]
    return notes


def _rivals(names: Sequence[str], reports: Sequence[HeadReport], plan: Plan) -> tuple[Rival, ...]:
    first, others = reports[0], reports[1:]
    rights = [report.right[HEAD] for report in reports]
    n_tested = int((~np.isnan(rights[0])).any(axis=0).sum())
    apart = [count_discordant(rights[0], right, first.groups) for right in rights[1:]]
    adjusted = adjusted_by_holm([each.p_value for each in apart])
    found = []
    for name, report, right, discordant, p in zip(
        names[1:], others, rights[1:], apart, adjusted, strict=True
    ):
        difference = mean_over_pictures(rights[0] - right, first.groups, **plan.resampling)
        words = _verdict(names[0], name, difference, discordant, p, n_tested)
        more = first.differences_to(report)
        found.append(Rival(name, report, difference, more, discordant, p, words))
    return tuple(found)


def _verdict(
    name: str, rival: str, difference: Estimate, discordant: Discordant, p: float, n_tested: int
) -> str:
    """Tell two apart where the test and the interval both do, and point the same way."""
    mean, low, high = difference.mean, difference.low, difference.high
    if low is None or high is None:
        return f"{name} and {rival} {NOT_DISTINGUISHED} with {n_tested} pictures: {mean:.2f}"
    clear = low * high > 0
    same_way = mean * (discordant.only_first - discordant.only_second) > 0
    if clear and same_way and p < SURE:
        return spell_verdict(name, rival, mean, low, high)
    words = spell_verdict(name, rival, mean, low, high, f"{n_tested} pictures")
    return f"{words}, McNemar p {p:.2f}" if clear else words
