"""Robustness measured: the same pictures, corrupted and embedded again by every backbone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from analyze.comparison.ranking.scores import RankedModel
from analyze.head.classifier import HeadClassifier, load_head
from analyze.head.prediction.head_file import StoredHead, check_identity
from analyze.inputs import LevelOrLabels, Sets, as_sets
from analyze.measures.alignment import (
    SamePictures,
    align,
    align_pictures,
    distinct_names,
    equal_pictures,
    groups_of_copies,
)
from analyze.pictures.picture_folder import PictureFolder
from analyze.robustness.cells import CellCache, HeadTest, Reference
from analyze.robustness.embedding import (
    CorruptedEmbedder,
    PlacedPictures,
    choose_config,
    place_pictures,
)
from analyze.robustness.result import Robustness
from analyze.robustness.scores import Cells, Sampling, compare_models, score_cells
from analyze.robustness.sheet import Shown
from extract.backbones.kept_backbones import load_from_provenance
from extract.backbones.registry import Backbone, choose_device
from extract.catalog.catalog import Level
from extract.errors import UsageError, one_of
from extract.images.corruptions import FAMILIES, N_SEVERITIES, Corruption
from extract.storage.embeddings import EmbeddingSet
from extract.workspace import AnyPath, Workspace, file_name

N_PICTURES = 1000
MOST_PICTURES = 10_000
"""Beyond, the pixels that are held take more memory than a laptop has."""

UNLIKE = 0.999
"""Cosine of an unaltered picture with its stored row, below which a note is due."""

Heads = Sequence["HeadClassifier | StoredHead | AnyPath"]


@dataclass(frozen=True)
class RobustnessSpec:
    """What is measured.

    Parameters
    ----------
    families : tuple of str
        Of corruptions; all without any.
    n_pictures : int
        That are corrupted; of a larger catalogue some are drawn.
    n_resamples : int
    seed : int
        Of the pictures, of what is drawn for each, of clusterings and resamples.

    Raises
    ------
    UsageError
        When there is no such family, or the pictures are too few or too many.

    Examples
    --------
    >>> from analyze import RobustnessSpec
    >>> len(RobustnessSpec(("noise", "rotation")).corruptions)
    11
    """

    families: tuple[str, ...] = ()
    n_pictures: int = N_PICTURES
    n_resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        for family in self.families:
            one_of(family, FAMILIES, "family of corruptions")
        if not 2 <= self.n_pictures <= MOST_PICTURES:
            raise UsageError(
                f"{self.n_pictures} pictures: give a number from 2 to {MOST_PICTURES:,}"
            )

    @property
    def corruptions(self) -> list[Corruption | None]:
        """Every corruption in turn; None first, for the unaltered pictures."""
        named = [family for family in FAMILIES if family in (self.families or FAMILIES)]
        severities = range(1, N_SEVERITIES + 1)
        return [None, *(Corruption(family, s) for family in named for s in severities)]


@dataclass(frozen=True)
class Running:
    """How it is measured: nothing here changes a number beyond rounding.

    Parameters
    ----------
    cache : Path, optional
        Where what is finished is kept, so that a run that was stopped goes on.
    weights : Path, optional
        Of a backbone that came from a file.
    device : str
    vectors : Path, optional
        A new folder for the vectors of every corruption, which are all computed again then;
        without it none are written.
    progress : callable, optional
        (pictures embedded, all of them) -> None.
    """

    cache: Path | None = None
    weights: Path | None = None
    device: str = "auto"
    vectors: Path | None = None
    progress: Callable[[int, int], None] | None = None


PLAIN = Running()


def assess_robustness(
    vectors: Sets,
    level: LevelOrLabels = None,
    *,
    images: AnyPath | None = None,
    heads: Heads = (),
    spec: RobustnessSpec | None = None,
    device: str = "auto",
) -> Robustness:
    """The robustness card: what corrupted pictures do to the vectors of one or more backbones.

    Every picture is corrupted in twelve ways of five severities (ImageNet-C, Hendrycks and
    Dietterich 2019, where it has them) and embedded again.

    Parameters
    ----------
    vectors : EmbeddingSet, or several of the same pictures
        As stored: backbone and pictures must be here.
    level : str, int or labels, optional
        The level of labels; the first without it.
    images : path, optional
        The folder of the pictures, where it lies outside the working directory.
    heads : sequence of HeadClassifier or path, optional
        One for each backbone at most, tested on pictures that it was not trained on.
    spec : RobustnessSpec, optional
        Families, number of pictures, resamples, seed.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    UsageError
        When no picture can be opened, or a head is of other vectors.
    WeightsError
        When a backbone is not to be had.

    Examples
    --------
    >>> from analyze import assess_robustness
    >>> from extract import read_embeddings
    >>> e = read_embeddings("cache/embeddings/photos/efficientnet_lite0.h5")  # doctest: +SKIP
    >>> found = assess_robustness(e, images="photos")  # doctest: +SKIP
    >>> found.verdicts["efficientnet_lite0"][:50]  # doctest: +SKIP
    'efficientnet_lite0 loses most by rotation beyond 5'
    """
    embedding_sets, named = as_sets(vectors, level)
    given = None if images is None else Path(images)
    workspace = Workspace.find()
    pictures = PictureFolder.of(embedding_sets[0], workspace, given)
    running = Running(workspace.cached_robustness, device=device)
    wanted = spec or RobustnessSpec()
    return assess_pictures(
        embedding_sets, named, pictures, heads=heads, spec=wanted, running=running
    )


def assess_pictures(
    embedding_sets: Sequence[EmbeddingSet],
    level: str | None,
    pictures: PictureFolder,
    *,
    heads: Heads = (),
    spec: RobustnessSpec,
    running: Running = PLAIN,
) -> Robustness:
    """Measure with what a command has: see :func:`assess_robustness`.

    Parameters
    ----------
    pictures : PictureFolder
        Of the first set; the others are of the same pictures.
    """
    if running.vectors is not None and running.vectors.exists():
        raise UsageError(f"{running.vectors} is there already: give another with --vectors DIR")
    same, known, notes = _aligned(embedding_sets, level)
    catalog = PictureFolder(same.embedding_sets[0], pictures.root)
    rows, noted = _chosen_rows(same, spec)
    notes += noted
    copies = equal_pictures(same.embedding_sets)
    groups = groups_of_copies(same.embedding_sets)
    tests = _head_tests(same, heads)
    work = _Work(spec, running, catalog, copies, groups, known)
    measured: dict[RankedModel, Cells] = {}
    shown = None
    backbones = [_load(each, running) for each in same.embedding_sets]  # before hours of work
    for number, backbone in enumerate(backbones):
        embeddings = same.embedding_sets[number]
        done = number, len(backbones)
        config, placed = work.place(backbone, embeddings, rows)
        if number and len(placed.rows) < len(rows):
            raise UsageError("pictures were changed or removed meanwhile: start again")
        rows = placed.rows
        shown = shown or _shown(same.embedding_sets[0], placed, spec)
        reference = work.reference(embeddings, placed, tests.get(number))
        cells = work.cells(backbone, config, placed, reference, done)
        model = RankedModel.of(number, same.names[number], embeddings)
        measured[model] = cells
        notes += _unlike(model.name, cells[None][0])
        notes += _inapplicable(f"{model.name}: " if len(backbones) > 1 else "", cells)
    notes += [*catalog.notes(), *_of_heads(tests, rows, same)]
    first = same.embedding_sets[0]
    sampling = Sampling(groups[rows], known, rows, spec.n_resamples, spec.seed)
    return Robustness(
        tracks={model: score_cells(cells, sampling) for model, cells in measured.items()},
        pairs=tuple(compare_models(measured, sampling)),
        ids=tuple(first.ids[row] for row in rows.tolist()),
        n_catalog=len(first),
        level=known.take(rows) if known else None,
        n_resamples=spec.n_resamples,
        seed=spec.seed,
        shown=shown,
        notes=tuple(dict.fromkeys(notes)),
    )


@dataclass(frozen=True)
class _Work:
    """What all backbones share."""

    spec: RobustnessSpec
    running: Running
    pictures: PictureFolder
    copies: np.ndarray
    groups: np.ndarray
    level: Level | None

    def place(
        self, backbone: Backbone, embeddings: EmbeddingSet, rows: np.ndarray
    ) -> tuple[Mapping[str, Any], PlacedPictures]:
        """Open the pictures as a backbone sees them, and choose how it embeds."""
        configs = embeddings.provenance.execution_configs
        n_passes = len(rows) * len(self.spec.corruptions)
        config = choose_config(backbone, configs, n_passes)
        seen = backbone.preprocessing
        return config, place_pictures(self.pictures, rows, seen, str(config["decoder"]))

    def reference(
        self, embeddings: EmbeddingSet, placed: PlacedPictures, head: HeadTest | None
    ) -> Reference:
        """Take the stored catalogue of a backbone as what is held against."""
        n_clusters = None
        if self.level is not None:
            codes = self.level.codes[placed.rows]
            n_classes = len(np.unique(codes[codes >= 0]))
            n_clusters = n_classes if n_classes > 1 else None
        return Reference(
            embeddings,
            placed.rows,
            self.copies,
            self.groups,
            n_clusters,
            head,
            self.spec.seed,
        )

    def cells(
        self,
        backbone: Backbone,
        config: Mapping[str, Any],
        placed: PlacedPictures,
        reference: Reference,
        done: tuple[int, int],
    ) -> dict[Corruption | None, np.ndarray]:
        """Measure one backbone, one corruption after the other; what is kept is read.

        Parameters
        ----------
        done : tuple of int
            Backbones that were measured before, and all.
        """
        corruptions, n = self.spec.corruptions, len(placed.rows)
        kept = CellCache.of(self.running.cache, reference, config)
        tick = _Ticker(self.running.progress, done[0] * n * len(corruptions))
        tick.total = done[1] * n * len(corruptions)
        embedder: list[CorruptedEmbedder] = []  # loaded when the first one is not kept
        found: dict[Corruption | None, np.ndarray] = {}
        for number, corruption in enumerate(corruptions):

            def measure(corruption: Corruption | None = corruption) -> np.ndarray:
                if not embedder:
                    embedder.append(CorruptedEmbedder(backbone, placed, config, self.spec.seed))
                vectors = embedder[0].vectors(corruption, tick)
                if self.running.vectors is not None:
                    made = reference.embeddings.provenance
                    stem = f"{file_name(made.model)}-{made.short_identity}"
                    _write_vectors(self.running.vectors, stem, corruption, vectors)
                return reference.figures(vectors)

            again = self.running.vectors is not None
            found[corruption] = kept.figures(corruption, n, measure, again=again)
            tick.reach((done[0] * len(corruptions) + number + 1) * n)
        if self.running.vectors is not None:
            _write_ids(self.running.vectors, reference.embeddings, placed.rows)
        return found


class _Ticker:
    """Counts pictures for a progress bar."""

    def __init__(self, progress: Callable[[int, int], None] | None, done: int) -> None:
        self._progress, self._done, self.total = progress, done, 0

    def __call__(self, n: int) -> None:
        self.reach(self._done + n)

    def reach(self, done: int) -> None:
        self._done = done
        if self._progress and self.total:
            self._progress(done, self.total)


def _aligned(
    embedding_sets: Sequence[EmbeddingSet], level: str | None
) -> tuple[SamePictures, Level | None, list[str]]:
    """Keep the pictures that all sets hold, with their labels where there are any."""
    labelled = level is not None or any(
        (own.codes >= 0).any() for each in embedding_sets for own in each.levels
    )
    if not labelled:
        if len(embedding_sets) == 1:
            return SamePictures(tuple(embedding_sets), distinct_names(embedding_sets), ()), None, []
        same = align_pictures(embedding_sets)
        return same, None, list(same.notes)
    aligned = align(embedding_sets, level)
    return aligned, aligned.level, list(aligned.notes)


def _chosen_rows(same: SamePictures, spec: RobustnessSpec) -> tuple[np.ndarray, list[str]]:
    """Draw the rows that are corrupted: those of one picture that has a direction everywhere."""
    there = np.array([each.vectors.any(axis=1) for each in same.embedding_sets]).all(axis=0)
    first, notes = same.embedding_sets[0], []
    if first.n_pictures is not None:
        several = there & (first.n_pictures > 1)
        if several.any():
            notes.append(f"{int(several.sum())} rows of several pictures are not corrupted")
        there &= ~several
    rows = np.flatnonzero(there)
    if len(rows) > spec.n_pictures:
        notes.append(f"{spec.n_pictures:,} of {len(rows):,} pictures, drawn by seed, are corrupted")
        drawn = np.random.default_rng(spec.seed).choice(rows, spec.n_pictures, replace=False)
        rows = np.sort(drawn)
    if not len(rows):
        raise UsageError("no row is of one picture with a direction: nothing can be corrupted")
    return rows, notes


def _load(embeddings: EmbeddingSet, running: Running) -> Backbone:
    """Load the backbone of a set; a file of weights is for those that came from one."""
    source = embeddings.provenance.identity.get("weights", {}).get("source", "pretrained")
    weights = None if source in ("pretrained", "random") else running.weights
    device = choose_device(running.device)
    return load_from_provenance(embeddings.provenance, weights_file=weights, device=device)


def _head_tests(same: SamePictures, heads: Heads) -> dict[int, HeadTest]:
    """Find the set that each head is of, by its place."""
    found: dict[int, HeadTest] = {}
    for given in heads:
        head = given if isinstance(given, HeadClassifier | StoredHead) else load_head(given)
        stored = head.stored if isinstance(head, HeadClassifier) else head
        number = _set_of(stored, same.embedding_sets)
        levels = {own.name: own for own in same.embedding_sets[number].levels}
        name = stored.levels[-1]
        if name not in levels:
            raise UsageError(f"no level {name!r}, which the head gives: leave --head out")
        if number in found:
            raise UsageError(f"two heads of {same.names[number]}: give one with --head")
        found[number] = HeadTest(stored, levels[name])
    return found


def _set_of(stored: StoredHead, embedding_sets: Sequence[EmbeddingSet]) -> int:
    for number, embeddings in enumerate(embedding_sets):
        with suppress(UsageError):
            check_identity(stored, embeddings.provenance)
            return number
    check_identity(stored, embedding_sets[0].provenance)
    raise AssertionError("no set, and none is refused")


def _shown(embeddings: EmbeddingSet, placed: PlacedPictures, spec: RobustnessSpec) -> Shown:
    """Take a picture for people: the first with a ground that can be exchanged, else the first."""
    last = Corruption("background", N_SEVERITIES)
    some = range(min(50, len(placed.rows)))
    applies = (p for p in some if placed.corrupted(p, last, spec.seed) is not None)
    place = next(applies, 0)
    pictures = {
        each: None if made is None else Image.fromarray(made)
        for each in spec.corruptions
        if each
        for made in [placed.corrupted(place, each, spec.seed)]
    }
    row_id = embeddings.ids[int(placed.rows[place])]
    return Shown(row_id, Image.fromarray(placed.pixels[place]), pictures)


def _unlike(name: str, cosines: np.ndarray) -> list[str]:
    """Note where unaltered pictures, embedded again, are not their stored rows."""
    worst = float(np.nanmin(cosines))
    if worst >= UNLIKE:
        return []
    return [
        f"{name}: unaltered pictures embedded again agree with the file to cosine {worst:.4f}, as "
        "its rows were computed otherwise; drift holds that too"
    ]


def _inapplicable(start: str, cells: Mapping[Corruption | None, np.ndarray]) -> list[str]:
    """Note the families that apply to some of the pictures alone."""
    notes = {}
    for corruption, figures in cells.items():
        n, applies = figures.shape[1], int((~np.isnan(figures[0])).sum())
        if corruption and applies < n:
            notes[corruption.family] = (
                f"{start}{corruption.family} applies to {applies} of {n} "
                "pictures: the border of the others is not of one color, or they are all ground"
            )
    return list(notes.values())


def _of_heads(tests: Mapping[int, HeadTest], rows: np.ndarray, same: SamePictures) -> list[str]:
    notes = []
    for number, test in tests.items():
        ids = [same.embedding_sets[number].ids[row] for row in rows.tolist()]
        n = sum(row_id not in test.stored.training_ids for row_id in ids)
        tested = f"tested on the {n} pictures it was not trained on"
        if not n:
            tested = "trained on all of these pictures, so not tested: train one without --folds"
        notes.append(f"head of {same.names[number]}: {tested}")
    return notes


def _write_vectors(
    folder: Path, stem: str, corruption: Corruption | None, vectors: np.ndarray
) -> None:
    """Write the vectors of one corruption; rows of NaN where it does not apply."""
    end = f"{corruption.family}-{corruption.severity}" if corruption else "unaltered"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{stem}-{end}.npy", vectors, allow_pickle=False)


def _write_ids(folder: Path, embeddings: EmbeddingSet, rows: Iterable[int]) -> None:
    """Write which row of the vectors is which picture."""
    with (folder / "ids.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id"], *([embeddings.ids[row]] for row in rows)])
