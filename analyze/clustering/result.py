"""One analysis: scores, clusters and labels as numbers, text, a table and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analyze.clustering.automatic import AUTO, Automatic
from analyze.clustering.choosing_k import ChosenK
from analyze.clustering.clustering import Clustering, clustering_spec
from analyze.measures.agreement import Agreement
from analyze.measures.confusion_figure import confusion_chart
from analyze.measures.contingency_metrics import METRICS
from analyze.measures.levels import LevelScores, parents_of_classes
from analyze.presentation import wording
from analyze.presentation.chart import Chart
from analyze.presentation.result import Draw, Result, Table
from analyze.reduction.map_figure import (
    Panel,
    Plane,
    class_panel,
    cluster_panel,
    draw_map,
    map_chart,
    matched_panel,
)
from analyze.reduction.reduction import Reduced
from extract.catalog.catalog import Level
from extract.command_line import counted_pictures
from extract.errors import UsageError, one_of
from extract.storage.embeddings import EmbeddingSet
from extract.tables import column_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDEST_CLASS = 60


@dataclass(frozen=True, eq=False, repr=False)
class Analysis(Result):
    """The answer of one reduction and one clustering.

    Parameters
    ----------
    embeddings : EmbeddingSet
    level : Level or None
        The labels compared with; None when the catalogue has none.
    reduced : Reduced
    clustering : Clustering
    agreement : Agreement or None
    one_nn_accuracy : float or None
        Of the vectors as they are, whatever the reduction.
    notes : tuple of str
        What was lowered, left out or not informative.
    internal : mapping of str to float or None
        Scores that need no labels.
    levels : tuple of LevelScores
        The same clustering against each level; empty where there are fewer than two.
    chosen_k : ChosenK, optional
        Where the number of clusters was not given.
    automatic : Automatic, optional
        Where the reduction was not given; ``reduced`` is then that of the first seed.
    named_scores : tuple of str
        Scores without labels that the text has although there are labels.
    """

    embeddings: EmbeddingSet
    level: Level | None
    reduced: Reduced
    clustering: Clustering
    agreement: Agreement | None
    one_nn_accuracy: float | None
    notes: tuple[str, ...]
    internal: Mapping[str, float | None] = field(default_factory=dict)
    levels: tuple[LevelScores, ...] = ()
    chosen_k: ChosenK | None = None
    automatic: Automatic | None = None
    named_scores: tuple[str, ...] = ()

    @property
    def scores(self) -> dict[str, float | None]:
        """All scores by name; None where one cannot be had or would not be informative."""
        of_clusters = self.agreement.scores if self.agreement else dict.fromkeys(METRICS)
        return {**of_clusters, "one_nn_accuracy": self.one_nn_accuracy, **self.internal}

    def to_json(self) -> dict[str, Any]:
        """Spell the answer with the keys that programs read."""
        provenance, agreement = self.embeddings.provenance, self.agreement
        return {
            **provenance.to_json(),
            "n_images": len(self.embeddings),
            "left_out": sum(self.embeddings.left_out.values()),
            "left_out_by_reason": dict(self.embeddings.left_out),
            "level": self.level.name if self.level else None,
            "n_labelled": agreement.n_labelled if agreement else 0,
            "reduction": AUTO if self.automatic else self.reduced.reduction,
            "reduction_parameters": [dict(p) for p in self.reduced.parameters],
            "clustering": self.clustering.method,
            "n_clusters": self.clustering.n_found,
            "n_noise": self.clustering.n_noise,
            "seed": self.clustering.seed,
            "scores": self.scores,
            "levels": [scores.to_json() for scores in self.levels],
            "classes": [vars(score) for score in agreement.class_scores()] if agreement else [],
            "confusion": {
                "classes": list(agreement.classes),
                "clusters": list(agreement.clusters),
                "counts": agreement.confusion.tolist(),
                "matched": {str(k): v for k, v in agreement.cluster_to_class.items()},
            }
            if agreement
            else None,
            "chosen_k": self.chosen_k.to_json() if self.chosen_k else None,
            "automatic": self.automatic.to_json() if self.automatic else None,
            "notes": self._notes(),
        }

    @property
    def map_plane(self) -> Plane | None:
        """Where the rows lie on the map; None where they do not span a plane."""
        return self.reduced.plane

    def text(self) -> str:
        """Return scores, levels and classes as lines for people."""
        lines = [*self._headings()]
        lines += [each.why for each in (self.chosen_k, self.automatic) if each]
        lines += [*self._score_line(), *self._level_lines()]
        if self.agreement and self.scores["ari"] is not None:
            lines += _class_lines(self.agreement)
        lines += wording.left_out(self.embeddings.left_out)
        return "\n".join([*lines, *wording.notes(self._notes())])

    def tables(self) -> dict[str, Table]:
        """Return ``assignments``: the cluster of each row, its labels and its columns."""
        return {"assignments": self._assignments()}

    def figures(self) -> dict[str, Draw]:
        """Return ``clusters``, ``confusion`` and ``map``, as far as there is what they show."""
        from analyze.clustering.choosing_figure import draw_choice

        chosen, flat = self.chosen_k, self.map_plane
        title, subtitle = self._headings()
        drawn: dict[str, Draw] = {}
        if chosen and chosen.criteria:
            drawn["clusters"] = lambda: draw_choice(
                chosen.ks,
                [(each.name, each.values, each.spreads, each.k) for each in chosen.criteria],
                chosen.k,
                title="How many clusters?",
                subtitle=chosen.why,
            )
        if confusion := self._confusion():
            drawn["confusion"] = confusion.figure
        if flat:
            panels = [*self._panels().values()]
            drawn["map"] = lambda: draw_map(flat, panels, title=title, subtitle=subtitle)
        return drawn

    def plot_confusion(self, ax: Axes | None = None) -> Axes:
        """Axes with the confusion matrix: colors are shares of the class, numbers pictures.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When there are no labels to compare with.
        """
        chart = self._confusion()
        if chart is None:
            raise UsageError("no confusion matrix: there are no labels to compare clusters with")
        return chart.plot(ax)

    def plot_map(self, by: str | None = None, ax: Axes | None = None) -> Axes:
        """Axes with the rows in the plane of the reduction.

        Parameters
        ----------
        by : str, optional
            ``class`` or ``cluster``; by class without it, where there are labels. A cluster has
            the color of the class matched to it.
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When the rows do not span a plane, or there is no such panel.

        Examples
        --------
        >>> from analyze import analyze_embeddings
        >>> X, y = [[0, 0], [0, 1], [9, 8], [9, 9]], ["cup", "cup", "hat", "hat"]
        >>> analyze_embeddings(X, level=y).plot_map(by="class").get_legend_handles_labels()[1]
        ['cup', 'hat']
        """
        if self.map_plane is None:
            raise UsageError("no map: the rows do not span a plane")
        panels = self._panels()
        panel = panels[next(iter(panels)) if by is None else one_of(by, panels, "panel of the map")]
        title, subtitle = self._headings()
        return map_chart(self.map_plane, panel, title=title, subtitle=subtitle).plot(ax)

    def _confusion(self) -> Chart | None:
        if self.agreement is None:
            return None
        title, subtitle = self._headings()
        return confusion_chart(
            self.agreement, title=title, subtitle=subtitle, parents=self._parents()
        )

    def _panels(self) -> dict[str, Panel]:
        """Panels of the map, from left to right."""
        assignments = self.clustering.assignments
        if self.level is None or self.agreement is None:
            return {"cluster": cluster_panel(assignments)}
        classes = class_panel(self.level.codes, self.level.categories)
        return {
            "class": classes,
            "cluster": matched_panel(assignments, self.agreement.cluster_to_class, classes),
        }

    def _parents(self) -> dict[str, str]:
        return parents_of_classes(self.embeddings.levels, self.level) if self.level else {}

    def _notes(self) -> list[str]:
        return [
            *self.notes,
            *(["no map: the rows do not span a plane"] if not self.map_plane else []),
        ]

    def _headings(self) -> tuple[str, str]:
        scores, clustering, agreement = self.scores, self.clustering, self.agreement
        method = self.automatic.chosen.clustering if self.automatic else clustering.method
        of = "consensus of " if self.automatic else ""
        title = f"{self.embeddings.provenance.title} · {self.reduced.reduction}"
        title += f" · {of}{clustering_spec(method).title} {clustering.n_found}"
        parts = [counted_pictures(len(self.embeddings))]
        if clustering.n_noise:
            parts.append(f"{clustering.n_noise} of them noise, in no cluster")
        if agreement and agreement.n_labelled < len(self.embeddings):
            parts.append(f"scores on the {agreement.n_labelled} labelled")
        if self.level:
            parts.append(f"level {self.level.name}")
        if scores["ari"] is not None:
            parts.append(f"ARI {scores['ari']:.3f}")
            parts.append(f"matched accuracy {scores['matched_accuracy']:.3f}")
        return title, " · ".join([*parts, f"seed {clustering.seed}"])

    def _score_line(self) -> list[str]:
        """Spell all scores; of those without labels one is enough where labels say more."""
        scores = self.scores
        wanted = {"silhouette", *self.named_scores}
        passed_over = {*self.internal} - wanted if scores["ari"] is not None else ()
        return wording.scores({k: v for k, v in scores.items() if k not in passed_over})

    def _level_lines(self) -> list[str]:
        from extract.ids import shown

        lines = []
        for level in self.levels:
            noted = {name: level.scores[name] for name in ("ari", "ami", "purity")}
            noted["right parent, wrong leaf"] = level.right_parent_wrong_leaf
            noted["hierarchical F1"] = level.hierarchical_f1
            start = f"level {shown(level.name)}, {level.n_classes} classes: "
            lines += wording.scores(noted, start)
        return lines

    def _assignments(self) -> Table:
        vectors = self.embeddings
        matched = self.agreement.cluster_to_class if self.agreement else {}
        truth = self.level.values() if self.level else [None] * len(vectors)
        # "class" is the class matched to the cluster under its old name: it goes in 0.3
        header = ["id", "cluster", "class", "matched_class", "true_class"]
        header += column_names(header, [v.name for v in vectors.levels], vectors.columns)
        yield header
        columns = [*(level.values() for level in vectors.levels), *vectors.columns.values()]
        for i, cluster in enumerate(self.clustering.assignments.tolist()):
            own = [matched.get(cluster)] * 2
            yield [vectors.ids[i], cluster, *own, truth[i], *(values[i] for values in columns)]


def _class_lines(agreement: Agreement) -> list[str]:
    from extract.ids import shown

    rows = agreement.class_scores()
    width = min(WIDEST_CLASS, max(len(shown(row.name)) for row in rows) + 2)
    lines = [f"{'class':<{width}} {'pictures':>8} {'cluster':>8} {'recall':>8} {'precision':>10}"]
    for row in rows:
        found = "-" if row.cluster is None else str(row.cluster)
        precision = "-" if row.precision is None else f"{row.precision:.3f}"
        lines.append(
            f"{shown(row.name)[:width]:<{width}} {row.n_images:>8} {found:>8} "
            f"{row.recall:>8.3f} {precision:>10}"
        )
    if unmatched := agreement.unmatched:
        lines.append(f"clusters matched to no class: {', '.join(map(str, unmatched))}")
    return lines
