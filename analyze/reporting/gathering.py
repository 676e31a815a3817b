"""Everything that a report shows, gathered from what commands stored."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from analyze.measures.alignment import align_labels, align_pictures, distinct_names, level_meant
from analyze.measures.levels import choose_level, parents_of_classes
from analyze.neighbors.similar import name_column
from analyze.pictures.picture_folder import PictureFolder
from analyze.reporting.answer import answer, confused_pairs
from analyze.reporting.backbones import (
    Backbone,
    choose_runs,
    find_map,
    lay_over,
    mean_directions,
    read_clusters,
)
from analyze.reporting.columns import columns_of
from analyze.reporting.content import Missing
from analyze.reporting.headline import headline_of
from analyze.reporting.messages import Language, Words
from analyze.reporting.page.thumbnails import make_thumbnails
from analyze.reporting.page.tree import Tree, draw_tree
from analyze.reporting.report import Report
from analyze.reporting.run_folders import StoredRun, stored_runs
from analyze.reporting.sections import SECTIONS, Section, section_of
from extract import __version__
from extract.catalog.catalog import Level
from extract.ids import shown
from extract.storage.embeddings import EmbeddingSet
from extract.storage.embeddings_file import read_embeddings
from extract.workspace import AnyPath, Workspace

Progress = Callable[[int, int], None]
MOST_LEAVES = 400
TSNE = "python -m analyze --reduce pca:0.99,tsne"


@dataclass(frozen=True)
class ReportRequest:
    """What is wanted on the page.

    Parameters
    ----------
    level : str, optional
        Name or number; that of the newest clustering by default.
    language : str
    name_column : str, optional
        Column of the products' names.
    images : Path, optional
        The pictures, where their folder lies outside the workspace.
    """

    level: str | None = None
    language: Language = "en"
    name_column: str | None = None
    images: Path | None = None


@dataclass(frozen=True, eq=False)
class _Aligned:
    """The same pictures in row i of each file, where they are in it, and their labels."""

    sets: tuple[EmbeddingSet, ...]
    rows: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    levels: tuple[Level, ...]
    notes: tuple[str, ...]


def gather_report(
    workspace: Workspace | AnyPath,
    files: Sequence[AnyPath],
    request: ReportRequest | None = None,
    progress: Progress | None = None,
) -> Report:
    """Gather what commands stored of some embeddings files; nothing is clustered or scored.

    Parameters
    ----------
    workspace : Workspace or path
        With the result folders, cached maps and pictures.
    files : sequence of path
        Embeddings files of one catalogue.
    request : ReportRequest, optional
    progress : callable, optional
        Of the pictures: (done, of how many).

    Raises
    ------
    UsageError
        When the files have no pictures in common, or a level or column is not there.
    """
    request = request or ReportRequest()
    workspace = workspace if isinstance(workspace, Workspace) else Workspace.find(workspace)
    words = Words(request.language)
    files, whole, notes = _large_enough(files, [read_embeddings(Path(path)) for path in files])
    aligned = _align(whole)
    prints = [each.fingerprint for each in whole]
    runs = [run for run in stored_runs(workspace.results) if {*run.inputs} & {*prints}]
    wanted = choose_level(aligned.levels, request.level) if request.level is not None else None
    chosen = choose_runs(runs, prints, wanted.name if wanted else None)
    level = wanted or _level(aligned.levels, chosen)
    first = aligned.sets[0]
    named = name_column(first, request.name_column)
    names = tuple(map(_name, first.columns[named], first.ids)) if named else None
    of_files = zip(whole, aligned.rows, chosen, strict=True)
    maps = lay_over([find_map(workspace, e, rows, run) for e, rows, run in of_files])
    backbones = []
    for i, vectors in enumerate(aligned.sets):
        run, rows = chosen[i], aligned.rows[i]
        clustered = read_clusters(run, vectors, rows, level, names) if run else None
        file = workspace.relative(files[i])
        backbones.append(Backbone(aligned.names[i], vectors, prints[i], file, maps[i], clustered))
    backbones.sort(key=lambda each: _goodness(each, runs))
    pictures = PictureFolder.of(first, workspace, request.images)
    thumbnails = make_thumbnails(pictures, progress)
    place = {shown(row_id): row for row, row_id in enumerate(first.ids)}
    sections, damaged = _sections(runs, prints, words, place)
    pairs = confused_pairs(level, backbones[0]) if level is not None else []
    order, groups = _class_order(aligned.levels, level)
    return Report(
        catalog=Path(files[0]).resolve().parent.name,
        words=words,
        backbones=tuple(backbones),
        names=names,
        level=level,
        class_order=order,
        groups=groups,
        columns=columns_of(aligned.levels, backbones, level, first, words),
        thumbnails=thumbnails,
        answer=answer(backbones, level, pairs, sections, words),
        headline=headline_of(backbones[0], level, runs),
        pairs=tuple(pairs),
        trees=_trees(backbones[0], level, words),
        sections=tuple(sections),
        missing=tuple(_missing(backbones, level, sections, words, shows=thumbnails.n_shown > 0)),
        provenance=_provenance(backbones, sections, chosen),
        notes=(*notes, *aligned.notes, *_differing(backbones), *thumbnails.notes, *damaged),
    )


def _large_enough(
    files: Sequence[AnyPath], whole: Sequence[EmbeddingSet]
) -> tuple[Sequence[AnyPath], list[EmbeddingSet], list[str]]:
    """Leave out files of less than half of the pictures: all others would shrink to theirs."""
    most = max(map(len, whole))
    kept = [i for i, each in enumerate(whole) if 2 * len(each) >= most]
    notes = [
        f"{Path(files[i]).name} is left out: it holds {len(each)} of {most} pictures"
        for i, each in enumerate(whole)
        if i not in kept
    ]
    return [files[i] for i in kept], [whole[i] for i in kept], notes


def _align(whole: Sequence[EmbeddingSet]) -> _Aligned:
    if len(whole) == 1:
        (only,) = whole
        return _Aligned((only,), (np.arange(len(only)),), distinct_names(whole), only.levels, ())
    if any(each.levels for each in whole):
        levels = next(each.levels for each in whole if each.levels)
        meant = [level_meant(whole, level.name) for level in levels]
        found = align_labels(whole, meant)
        kept, own = found, found.levels
    else:
        kept, own = align_pictures(whole), ()  # type: ignore[assignment]
    ids = kept.embedding_sets[0].ids
    places = [{row_id: row for row, row_id in enumerate(each.ids)} for each in whole]
    rows = tuple(np.array([place[row_id] for row_id in ids]) for place in places)
    return _Aligned(kept.embedding_sets, rows, kept.names, own, kept.notes)


def _level(levels: tuple[Level, ...], chosen: Sequence[StoredRun | None]) -> Level | None:
    """Take the level that the clusterings were compared with, else the first."""
    known = {level.name: level for level in levels}
    compared = (str(run.record.get("level")) for run in chosen if run is not None)
    found = next((known[name] for name in compared if name in known), None)
    return found or (levels[0] if levels else None)


def _name(name: str, row_id: str) -> str:
    return name or row_id


def _goodness(backbone: Backbone, runs: Sequence[StoredRun]) -> tuple[bool, bool, bool, float]:
    """Order the best first; random weights, and what is not clustered, last.

    The mean over seeds of a comparison counts for more than the score of one run.
    """
    if backbone.clustered is None:
        return backbone.is_random, True, True, 0.0
    record = backbone.clustered.run.record
    wanted = {key: record.get(key) for key in ("identity", "reduction", "clustering", "level")}
    compared = next((run.record.get("cells") for run in runs if run.kind == "compare"), None)
    cells = compared if isinstance(compared, list) else []
    means = [
        cell.get("mean")
        for cell in cells
        if isinstance(cell, Mapping)
        if cell.get("metric") == "ari" and all(cell.get(k) == v for k, v in wanted.items())
    ]
    scores = backbone.clustered.scores
    known = [*means, scores.get("ari")]
    found = next((each for each in known if isinstance(each, int | float)), None)
    unlabelled = scores.get("silhouette") if found is None else found
    worth = unlabelled if isinstance(unlabelled, int | float) else -1.0
    return backbone.is_random, False, found is None, -float(worth)


def _class_order(
    levels: Sequence[Level], level: Level | None
) -> tuple[tuple[int, ...], tuple[tuple[str, int], ...]]:
    """Order the classes that have a picture, those of one parent together."""
    if level is None:
        return (), ()
    there = np.unique(level.codes[level.codes >= 0]).tolist()
    parents = parents_of_classes(levels, level)
    if not parents:
        return tuple(there), ()
    above = [parents.get(level.categories[code], "") for code in there]
    order = sorted(range(len(there)), key=lambda i: (above[i], there[i]))
    groups = [(name, above.count(name)) for name in sorted({*above})]
    return tuple(there[i] for i in order), tuple(groups)


def _sections(
    runs: Sequence[StoredRun], prints: Sequence[str], words: Words, place: Mapping[str, int]
) -> tuple[list[Section], list[str]]:
    """Show of each command the newest run; of those of several files one of most of ours."""
    found, notes = [], []
    for kind in SECTIONS:
        own = [run for run in runs if run.kind == kind]
        if own:
            best = max(own, key=lambda run: len({*run.inputs} & {*prints}))
            try:
                found.append(section_of(best, words, place))
            except (ValueError, csv.Error):  # as a damaged table gives
                notes.append(f"{best.folder.name} is damaged and not shown: type its command again")
    return found, notes


def _trees(best: Backbone, level: Level | None, words: Words) -> dict[str, Tree]:
    """Draw how alike the classes are, and the clusters, by the best backbone."""
    vectors, trees = best.embeddings.vectors, {}
    if level is not None:
        there = np.unique(level.codes[level.codes >= 0]).tolist()
        if 3 <= len(there) <= MOST_LEAVES:
            names = [shown(level.categories[code]) for code in there]
            trees["tree_classes"] = draw_tree(mean_directions(vectors, level.codes, there), names)
    if best.clustered is not None and 3 <= len(best.clustered.cards) <= MOST_LEAVES:
        cards = best.clustered.cards
        numbers = [card.number for card in cards]
        names = []
        for card in cards:
            about = [card.matched] if card.matched else list(card.words[:3])
            names.append(" · ".join([words("cluster", n=card.number), *map(shown, about)]))
        means = mean_directions(vectors, best.clustered.assignments, numbers)
        trees["tree_clusters"] = draw_tree(means, names)
    return {key: tree for key, tree in trees.items() if tree is not None}


def _missing(
    backbones: Sequence[Backbone],
    level: Level | None,
    sections: Sequence[Section],
    words: Words,
    *,
    shows: bool,
) -> list[Missing]:
    """Name what was not computed, with the command that does."""
    catalog = shlex.quote(Path(backbones[0].file).parent.name)
    found = []
    k = "" if level is not None else " --clusters auto"
    for each in backbones:
        file = shlex.quote(each.file)
        if each.clustered is None:
            about = words("missing_clusters", model=each.name)
            found.append(Missing(about, f"{TSNE}{k} --embeddings {file}"))
        elif each.map is not None and each.map.is_principal:
            about = words("missing_map", model=each.name)
            found.append(Missing(about, f"{TSNE}{k} --embeddings {file}"))
    there = {section.kind for section in sections}
    one = f"--embeddings {shlex.quote(backbones[0].file)}"
    wanted = {
        "compare": f"python -m analyze compare --catalog {catalog}" if level else None,
        "retrieval": f"python -m analyze retrieval --catalog {catalog}" if level else None,
        "head": f"python -m analyze head {one}" if level else None,
        "explain": f"python -m analyze explain --target cluster {one}" if shows else None,
        "audit": f"python -m analyze audit {one}",
    }
    for kind, command in wanted.items():
        if command is not None and kind not in there:
            found.append(Missing(words(f"missing_{kind}"), command))
    if not shows:
        again = f"python -m analyze report --catalog {catalog} --images DIR"
        found.append(Missing(words("missing_pictures"), again))
    return found


def _differing(backbones: Sequence[Backbone]) -> list[str]:
    """Say where backbones are not shown alike: other maps, other clusterings."""
    maps = {each.map.steps for each in backbones if each.map}
    settings = {each.clustered.setting for each in backbones if each.clustered}
    notes = (
        [f"maps are of different reductions: {', '.join(sorted(maps))}"] if len(maps) > 1 else []
    )
    if len(settings) > 1:
        notes.append(f"clusters are of different settings: {', '.join(sorted(settings))}")
    return notes


def _provenance(
    backbones: Sequence[Backbone],
    sections: Sequence[Section],
    chosen: Sequence[StoredRun | None],
) -> dict[str, Any]:
    """Spell every hash, version and seed, and the commands that make all of it again."""
    from analyze.presentation.run_record import run_record

    runs = [*(run for run in chosen if run is not None), *(each.run for each in sections)]
    runs = list({run.folder.name: run for run in runs}.values())
    extracted = [str(e.embeddings.provenance.record.get("command", "")) for e in backbones]
    commands = [*extracted, *(run.command for run in reversed(runs))]
    made = run_record("", [each.embeddings for each in backbones])
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "versions": made["versions"],
        "embeddings": [
            {
                "file": each.file,
                "embeddings_sha256": each.fingerprint,
                "identity_sha256": each.embeddings.provenance.identity_sha256,
                "weights": each.embeddings.provenance.weights,
                "weights_sha256": _weights_hash(each.embeddings),
                "n_dims": int(each.embeddings.vectors.shape[1]),
            }
            for each in backbones
        ],
        "runs": [
            {
                "results": run.folder.name,
                "command": run.command,
                "written": str(run.record.get("written", "")),
                "seed": run.record.get("seed"),
                "seeds": seeds if isinstance(seeds := run.record.get("seeds"), list) else None,
            }
            for run in runs
        ],
        "commands": list(dict.fromkeys(filter(None, commands))),
    }


def _weights_hash(embeddings: EmbeddingSet) -> str | None:
    weights = embeddings.provenance.identity.get("weights")
    found = weights.get("sha256") if isinstance(weights, Mapping) else None
    return None if found is None else str(found)
