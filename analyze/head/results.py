"""A tested head as files and as text: alone, or held against rivals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyze.head.against_figure import draw_against
from analyze.head.assessment import assess_head as assess
from analyze.head.classifier import HeadClassifier
from analyze.head.figures.head_figures import figures_of, head_confusion_chart
from analyze.head.prediction.head_file import write_head
from analyze.head.reporting.class_report import ClassReport
from analyze.head.reporting.report import HeadReport
from analyze.head.reporting.runs import epochs_of, seconds_of
from analyze.head.reporting.tables import tables_of
from analyze.head.reporting.text import accuracy_lines, class_lines, heading, training_summary
from analyze.head.rival_tables import tables_of_rivals
from analyze.head.rivals import HeadComparison, Rival
from analyze.head.training.plan import Progress
from analyze.head.training.spec import Plan
from analyze.head.tuning.tuning_report import tuning_lines
from analyze.inputs import LevelOrLabels, as_sets
from analyze.measures.estimates import Estimate
from analyze.presentation import wording
from analyze.presentation.figure_style import save
from analyze.presentation.result import Draw, Result, Table
from extract.errors import UsageError
from extract.files.results import write_tables
from extract.ids import shown
from extract.storage.arrays import Vectors
from extract.storage.embeddings import EmbeddingSet
from extract.workspace import AnyPath

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class HeadAssessment(Result):
    """How good heads are on pictures they were not trained on, and the head that is kept.

    Parameters
    ----------
    report : HeadReport
        All that is known: answers picture by picture, splits, trainings.
    """

    report: HeadReport

    @property
    def accuracy(self) -> Estimate:
        """Share of the pictures with all predicted right, with its interval."""
        return self.report.accuracy

    @property
    def baselines(self) -> dict[str, Estimate]:
        """The accuracy of each baseline on the same pictures."""
        return self.report.baselines

    @cached_property
    def head(self) -> HeadClassifier:
        """The head to keep: of folds trained on all that they tested, else the first."""
        return HeadClassifier(self.report.stored(self.report.provenance))

    def to_json(self) -> dict[str, Any]:
        """Spell the report with the keys that programs read."""
        return self.report.to_json()

    def text(self) -> str:
        """Return accuracy, baselines, trainings and classes as lines for people."""
        report = self.report
        lines = [*heading(report), *accuracy_lines(report), training_summary(report)]
        return "\n".join([*lines, *class_lines(report), *wording.notes(report.notes)])

    def tables(self) -> dict[str, Table]:
        """Return the command's tables: ``folds``, ``predictions``, ``classes`` and others."""
        found = tables_of(self.report)
        return {name.removesuffix(".csv"): table for name, table in found.items()}

    def figures(self) -> dict[str, Draw]:
        """Return ``curves``, ``calibration``, and the confusion or the F1 of each class."""
        return figures_of(self.report)

    def plot_confusion(self, ax: Axes | None = None) -> Axes:
        """Axes with what heads predict of pictures they were not trained on: classes down.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When a picture may have several labels.
        """
        if not isinstance(self.report, ClassReport):
            raise UsageError("no confusion matrix of several labels: see to_frame('classes')")
        return head_confusion_chart(self.report).plot(ax)

    def save(self, folder: AnyPath, *, svg: bool = False) -> None:
        """Write what the command does: tables, figures, and the head in two files.

        Parameters
        ----------
        folder : path
            Made where it is missing.
        svg : bool
            Whether figures are written as SVG too.

        Raises
        ------
        UsageError
            When the folder holds a file of one of the names; nothing is replaced.
        """
        path = Path(folder) / "head.json"
        if path.exists():
            raise UsageError(f"{path} is there already: give another folder")
        super().save(folder, svg=svg)
        self.head.save(path)


def assess_head(
    embeddings: EmbeddingSet | Vectors,
    level: LevelOrLabels = None,
    *,
    plan: Plan | None = None,
    progress: Progress | None = None,
) -> HeadAssessment:
    """How good a head is on pictures that it was not trained on, next to baselines on the same.

    Parameters
    ----------
    embeddings : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
    level : str, or labels, optional
        Name or number of a level of labels, or of a column of several; default the first. Labels
        are as of :meth:`EmbeddingSet.from_arrays`.
    plan : Plan, optional
        Splits, head and training; 60/20/20 and ten trainings without it.
    progress : callable, optional
        Called with how many trainings are done and how many there are.

    Raises
    ------
    UsageError
        When there is nothing to train on: no labels, one class, too few pictures of each.

    Examples
    --------
    >>> import numpy as np
    >>> from analyze import Plan, assess_head
    >>> y = np.repeat(["cup", "hat"], 10)
    >>> X = np.random.default_rng(0).normal(size=(20, 9)) + 4 * np.eye(2, 9)[np.repeat([0, 1], 10)]
    >>> found = assess_head(X, y, plan=Plan(n_seeds=1, n_resamples=100))
    >>> found.accuracy.mean
    1.0
    >>> found.head
    HeadClassifier(2 classes of label, 9 dimensions)
    """
    (given,), named = as_sets(embeddings, level)
    return HeadAssessment(assess(given, level=named, plan=plan, progress=progress))


def write_report(folder: Path, found: HeadReport | HeadComparison, *, svg: bool = False) -> Path:
    """Write head, tables and figures into a folder; give the head's file."""
    report = found if isinstance(found, HeadReport) else found.report
    drawn, tables = figures_of(report), tables_of(report)
    if isinstance(found, HeadComparison):
        drawn["against"] = partial(draw_against, found)
        tables |= tables_of_rivals(found)
    written = write_head(folder, report.stored(report.provenance))
    write_tables(folder, tables)
    for name, draw in drawn.items():
        save(draw(), folder, name, svg=svg)
    return written


def head_text(found: HeadReport | HeadComparison, result: Mapping[str, Any]) -> str:
    """Say what is known of a head.

    Parameters
    ----------
    result : mapping
        Its report as JSON, with ``file``, ``head``, ``results`` and ``tuning``.
    """
    report = found if isinstance(found, HeadReport) else found.report
    lines = [*heading(report, result["file"]), *accuracy_lines(report), training_summary(report)]
    lines += rival_lines(found) if isinstance(found, HeadComparison) else []
    lines += tuning_lines(result["tuning"]) if result["tuning"] else []
    lines += [*class_lines(report), f"the head: {result['head']}"]
    return "\n".join([*lines, *wording.closing(result)])


def rival_lines(comparison: HeadComparison) -> list[str]:
    """Say of each rival how good it is, what it took, and whether the head is better."""
    lines = []
    for rival in comparison.rivals:
        lines += [_of_rival(rival), rival.verdict, _of_test(comparison, rival)]
        for name, found in rival.differences.items():
            score, level = name.replace("_f1", " F1").replace("_", " "), name.removeprefix("path_")
            words = score if level == name else f"path at level {shown(level)}"
            apart = wording.estimate(found, signed=True)
            lines.append(f"  {words}, {comparison.name} minus {rival.name} {apart}")
    return lines


def _of_rival(rival: Rival) -> str:
    scores = accuracy_lines(rival.report)[0].removeprefix("head: ")
    epochs = epochs_of(rival.report.runs)
    return (
        f"{rival.name}: {scores}; {len(rival.report.runs)} heads in "
        f"{seconds_of(rival.report.runs):.1f} s, best epoch {epochs['best']:.0f} in the mean"
    )


def _of_test(comparison: HeadComparison, rival: Rival) -> str:
    one, other = rival.discordant
    p = f"McNemar p {_spelled(rival.discordant.p_value)}"
    if len(comparison.rivals) > 1:
        p += f", {_spelled(rival.p_adjusted)} among {len(comparison.rivals)} rivals"
    return f"{one} pictures {comparison.name} alone has right, {other} {rival.name} alone: {p}"


def _spelled(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
