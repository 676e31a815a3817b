"""How good look-ups are, as numbers, text, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.inputs import LevelOrLabels, Sets, as_sets
from analyze.measures.alignment import align
from analyze.measures.estimates import Estimate, mean_over_pictures
from analyze.measures.levels import no_labels
from analyze.neighbors.retrieval import Ranked, rank_all
from analyze.neighbors.retrieval_scores import Retrieved
from analyze.pictures.near_duplicates import NEAR_COSINE, Copies, find_copies, join_copies
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation import wording
from analyze.presentation.chart import Chart
from analyze.presentation.result import Draw, Result, Table, table_of
from extract.catalog.catalog import Level
from extract.errors import UsageError, one_of
from extract.storage.embeddings import EmbeddingSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_QUERIES = 5000
MOST_LISTED = 12
WIDEST_CLASS = 48


@dataclass(frozen=True, eq=False, repr=False)
class Retrieval(Result):
    """Look-ups of several embeddings, on the same pictures, judged by levels of labels.

    Parameters
    ----------
    found : tuple of Retrieved
        By level, within it in the order of the embeddings.
    n_resamples, seed : int
    notes : tuple of str
    n_worst : int
        Queries of each embedding, the worst first, that are listed.
    pictures : tuple of PictureFolder
        Of each embedding, where its worst queries are to be drawn; of none without.
    """

    found: tuple[Retrieved, ...]
    n_resamples: int
    seed: int
    notes: tuple[str, ...] = ()
    n_worst: int = 10
    pictures: tuple[PictureFolder, ...] = ()

    @property
    def of_first_level(self) -> list[Retrieved]:
        """What was found by the first level, an embedding each."""
        return [each for each in self.found if each.level.name == self.found[0].level.name]

    @property
    def levels(self) -> list[str]:
        """Names of the levels."""
        return list(dict.fromkeys(each.level.name for each in self.found))

    def to_json(self) -> dict[str, Any]:
        """Spell the look-ups with the keys that programs read."""
        return {
            "n_images": len(self.found[0].embeddings),
            "levels": self.levels,
            "n_resamples": self.n_resamples,
            "seed": self.seed,
            "rows": [row for each in self.found for row in each.rows()],
            "classes": [row for each in self.found for row in each.class_rows()],
            "worst": self._worst(),
            "notes": self._notes(),
        }

    def text(self) -> str:
        """Return metrics by level and classes, the worst first, as lines for people."""
        from analyze.neighbors.retrieval_figure import metric_in_words
        from extract.ids import shown

        n_images = len(self.found[0].embeddings)
        lines = [" · ".join([f"exact search by cosine in {n_images} pictures", *self._geometry()])]
        for level in self.levels:
            here = [each for each in self.found if each.level.name == level]
            lines.append(f"level {shown(level)}, {len(here[0].ranked.rows)} queries")
            table = [["", *(shown(each.name) for each in here)]]
            for key in here[0].estimates:
                values = [wording.estimate(each.estimates[key]) for each in here]
                table.append([metric_in_words(*key), *values])
            lines += [f"  {line}" for line in wording.lined_up(table, left=range(len(table[0])))]
        for each in self.of_first_level:
            lines += _class_lines(each)
        return "\n".join([*lines, *wording.notes(self._notes())])

    def tables(self) -> dict[str, Table]:
        """Return ``retrieval`` and ``classes``, a row for each metric, and ``worst`` queries."""
        worst = [
            {**query, "hits": " | ".join(hit["id"] for hit in query["hits"])}
            for query in self._worst()
        ]
        header = ["model", "identity", "level", "id", "class", "average_precision", "first_right"]
        return {
            "retrieval": table_of([row for each in self.found for row in each.rows()]),
            "classes": table_of([row for each in self.found for row in each.class_rows()]),
            "worst": table_of(worst, [*header, "hits", "resize", "pooling"]),
        }

    def figures(self) -> dict[str, Draw]:
        """Return ``retrieval``, ``retrieval-classes`` and sheets of the ``worst`` queries."""
        from analyze.neighbors.retrieval_figure import draw_retrieval
        from analyze.neighbors.retrieval_sheet import draw_worst

        first = self.of_first_level
        figures: dict[str, Draw] = {
            "retrieval": lambda: draw_retrieval(self.found, subtitle=self._about()),
            "retrieval-classes": self._classes(first).figure,
        }
        if self.n_worst and self.pictures:
            for number, (each, shown) in enumerate(zip(first, self.pictures, strict=True), start=1):
                name = "worst" if len(first) == 1 else f"worst-{number}"
                figures[name] = partial(draw_worst, each, self.n_worst, shown)
        return figures

    def plot_retrieval(self, level: str | None = None, ax: Axes | None = None) -> Axes:
        """Axes with each metric's estimate and interval, a dot an embedding.

        Parameters
        ----------
        level : str, optional
            Name of a level of labels; the first without it.
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When there is no such level.
        """
        from analyze.neighbors.retrieval_figure import retrieval_chart

        return retrieval_chart(self._of_level(level), subtitle=self._about()).plot(ax)

    def plot_classes(self, level: str | None = None, ax: Axes | None = None) -> Axes:
        """Axes with the mean average precision of each class, the worst on top.

        Parameters
        ----------
        level : str, optional
            Name of a level of labels; the first without it.
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When there is no such level.
        """
        return self._classes(self._of_level(level)).plot(ax)

    def _of_level(self, level: str | None) -> list[Retrieved]:
        name = self.levels[0] if level is None else one_of(level, self.levels, "level")
        return [each for each in self.found if each.level.name == name]

    def _classes(self, found: Sequence[Retrieved]) -> Chart:
        from analyze.neighbors.retrieval_figure import classes_chart

        return classes_chart(found, subtitle=f"level {found[0].level.name}")

    def _about(self) -> str:
        about = f"{self._queries()} · {self.n_resamples} resamples · seed {self.seed}"
        return " · ".join([about, *self._geometry()])

    def _worst(self) -> list[dict[str, Any]]:
        return [query for each in self.of_first_level for query in each.worst(self.n_worst)]

    def _notes(self) -> list[str]:
        """List the notes, those on pictures too that were drawn so far."""
        of_pictures = [note for each in self.pictures for note in each.notes()]
        return list(dict.fromkeys([*self.notes, *of_pictures]))

    def _geometry(self) -> list[str]:
        return wording.geometry(each.made for each in self.found)

    def _queries(self) -> str:
        counts = {each.level.name: len(each.ranked.rows) for each in self.found}
        if len(set(counts.values())) == 1:
            return f"{next(iter(counts.values()))} queries"
        return "queries: " + ", ".join(f"{n} by {name}" for name, n in counts.items())


def _class_lines(found: Retrieved) -> list[str]:
    """List the classes, the worst first, as far as they are few."""
    from extract.ids import shown

    classes = sorted(found.by_class.items(), key=lambda each: each[1][1]["map", None].mean)
    lines = [f"mAP by class, {found.name}:"]
    for name, (n, estimates) in classes[:MOST_LISTED]:
        spelled = wording.estimate(estimates["map", None])
        lines.append(f"  {wording.elided(shown(name)):<{WIDEST_CLASS}} {spelled}  ({n})")
    more = len(classes) - MOST_LISTED
    return [*lines, *([f"  and {more} more in classes.csv"] if more > 0 else [])]


def retrieve(
    embedding_sets: Sets,
    *,
    level: LevelOrLabels = None,
    ks: Sequence[int] = (5, 10),
    n_shown: int = 5,
    most_queries: int = MOST_QUERIES,
    n_resamples: int = 2000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Retrieval:
    """Judge retrieval by several embeddings, on the same pictures, by each level of labels.

    Intervals are over the queries, copies drawn together; what is searched is as it
    is. Copies of a picture, byte-identical or near-identical by any of the embeddings, are none of
    its answers.

    Parameters
    ----------
    embedding_sets : sequence or mapping of EmbeddingSet or array, or one of them
        Keys name arrays; more than one are compared on the same pictures.
    level : str, or labels, optional
        Name or number of one level; all of them without it. Labels are as of
        :meth:`EmbeddingSet.from_arrays`.
    ks : sequence of int
        Of precision and recall.
    most_queries : int
        Of more pictures a sample is queried, and a note reports it.

    Raises
    ------
    UsageError
        When there are no labels, or no picture has another of its class.

    Examples
    --------
    >>> import numpy as np
    >>> from analyze import retrieve
    >>> y = np.repeat(["cup", "hat"], 10)
    >>> X = np.random.default_rng(0).normal(size=(20, 9)) + 4 * np.eye(2, 9)[np.repeat([0, 1], 10)]
    >>> found = retrieve(X, level=y, ks=[5], n_resamples=50)
    >>> [(row["metric"], round(row["value"], 1)) for row in found.to_json()["rows"]][:2]
    [('precision', 1.0), ('recall', 0.6)]
    """
    embedding_sets, level = as_sets(embedding_sets, level)
    if not ks or min(ks) < 1:
        raise UsageError("--k: give 1 or more")
    found: list[Retrieved] = []
    notes: list[str] = []
    wanted = [level] if level is not None else _level_names(embedding_sets)
    for name in wanted:
        aligned = align(embedding_sets, name)
        sets, known = aligned.embedding_sets, aligned.level
        hashes = _hashes(sets)
        copies = join_copies([find_copies(e.vectors, hashes, e.groups) for e in sets])
        notes += _copies_notes(copies)
        there = np.logical_and.reduce([each.vectors.any(axis=1) for each in sets])
        codes = np.where(there, known.codes, -1)
        for number, (each, words) in enumerate(zip(sets, aligned.names, strict=True)):
            ranked = rank_all(
                each.vectors,
                codes,
                copies.groups,
                sorted(set(ks)),
                n_shown=n_shown,
                most_queries=most_queries,
                seed=seed,
                progress=progress,
            )
            if not len(ranked.rows):
                raise UsageError(
                    f"no picture has another of its class of level {known.name!r}, copies aside: "
                    "name another with --level"
                )
            found.append(
                _judged(words, number, each, known, copies.groups, ranked, n_resamples, seed)
            )
        notes += [*aligned.notes, *_left_out(found[-1], known, there, len(wanted) > 1)]
    return Retrieval(tuple(found), n_resamples, seed, tuple(dict.fromkeys(notes)))


def _judged(
    name: str,
    number: int,
    embeddings: EmbeddingSet,
    level: Level,
    groups: np.ndarray,
    ranked: Ranked,
    n_resamples: int,
    seed: int,
) -> Retrieved:
    values = ranked.values()
    codes = level.codes[ranked.rows]
    units = groups[ranked.rows]

    def judge(rows: np.ndarray) -> dict[tuple[str, int | None], Estimate]:
        return {
            key: mean_over_pictures(
                value[None, rows], units[rows], least=0.0, n_resamples=n_resamples, seed=seed
            )
            for key, value in values.items()
        }

    by_class = {}
    for code in np.unique(codes).tolist():
        rows = np.flatnonzero(codes == code)
        by_class[level.categories[code]] = len(rows), judge(rows)
    everything = judge(np.arange(len(codes)))
    return Retrieved(name, number, embeddings, level, groups, ranked, everything, by_class)


def _level_names(embedding_sets: Sequence[EmbeddingSet]) -> list[str]:
    """Name the levels of the first set that has any."""
    for each in embedding_sets:
        if each.levels:
            return [level.name for level in each.levels]
    none = no_labels(next((s.multi_labels for s in embedding_sets if s.multi_labels), ()))
    raise UsageError(
        f"{none}, so it is unknown which answers are right: embed pictures in a folder a class, or "
        "with --manifest and --label-column"
    )


def _hashes(sets: Sequence[EmbeddingSet]) -> np.ndarray | None:
    """Give the hashes that any of the files knows; a row of zeros is none."""
    hashes = np.zeros((len(sets[0]), 32), np.uint8)
    for each in sets:
        if each.content_sha256 is not None:
            unknown = ~hashes.any(axis=1)
            hashes[unknown] = each.content_sha256[unknown]
    return hashes


def _copies_notes(copies: Copies) -> list[str]:
    sizes = np.bincount(copies.groups)
    n = int(sizes[sizes > 1].sum())
    note = (
        f"{n} pictures have copies, or variants too near to distinguish from copies by their "
        f"vectors (cosine of {NEAR_COSINE}): these are none of a query's answers"
    )
    return [*([note] if n else []), *copies.notes]


def _left_out(found: Retrieved, level: Level, there: np.ndarray, many_levels: bool) -> list[str]:
    """Return notes on the pictures that were no queries, and why."""
    ranked = found.ranked
    at = f" at level {level.name}" if many_levels else ""
    alone = len(ranked.without_relevant)
    n_unlabelled = int((level.codes < 0).sum())
    n_zeros = int(((level.codes >= 0) & ~there).sum())
    notes = []
    if alone:
        notes.append(
            f"{alone} {_pictures(alone)} left out as a query{at}: no other of the class, copies "
            "aside"
        )
    if n_unlabelled:
        notes.append(f"{n_unlabelled} {_pictures(n_unlabelled)} left out{at}: no label")
    if n_zeros:
        notes.append(f"{n_zeros} {_pictures(n_zeros)} left out{at}: all zeros, no direction")
    if ranked.n_not_drawn:
        notes.append(
            f"{len(ranked.rows)} of {len(ranked.rows) + ranked.n_not_drawn} pictures are "
            f"queries{at}, drawn by the seed; answers are all"
        )
    return notes


def _pictures(n: int) -> str:
    return "picture is" if n == 1 else "pictures are"
