"""``python -m analyze audit``: what is to be mended in a catalogue, and decisions on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from analyze.commands import options
from analyze.commands.run_folder import present
from extract import command_line as cl
from extract.errors import UsageError, one_of


@dataclass(frozen=True)
class Request:
    """What is looked for, or done about it."""

    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="FINDING=X", help="Another threshold; may be repeated."),
    ] = None
    apply: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Decisions, filled in: write the cleaned manifest."),
    ] = None
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures",
            help="Open the pictures; without, copies and outliers by vectors alone.",
        ),
    ] = True


def read_thresholds(given: list[str]) -> dict[str, float]:
    """Read thresholds as typed: ``blurred=2``.

    Raises
    ------
    UsageError
    """
    from analyze.auditing.checks import BY_NAME

    found = {}
    for each in given:
        name, equals, number = each.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            equals = ""
        if not equals or found[name] != found[name]:
            raise UsageError(f"--threshold {each}: give a finding and a number, as blurred=2")
        one_of(name, BY_NAME, "finding", "give --threshold one of")
    return found


@cl.command()
def audit(
    *,
    inputs: options.Inputs,
    level: options.LevelOption = None,
    request: Request,
    index: options.Index,
    folder: options.Pictures,
    seed: cl.SeedOption = 0,
    output: options.Output,
) -> None:
    """List copies, bad pictures, outliers and likely label errors, each with what to do."""
    from analyze.auditing.audit import audit_catalog
    from analyze.auditing.cleaned import apply_decisions
    from analyze.measures.levels import choose_level
    from analyze.neighbors.indexes.index_cache import open_index
    from analyze.neighbors.indexes.index_choice import check_wanted, wanted_index
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.stored_files.selection import choose_one
    from extract.storage.embeddings_file import read_embeddings

    check_wanted(index.index, index.recall)
    thresholds = read_thresholds(request.threshold or [])
    workspace = output.workspace()
    path = choose_one(workspace, inputs.selection())
    vectors = read_embeddings(path)
    named = {"file": workspace.relative(path)}
    if request.apply is not None:
        cleaned = apply_decisions(path, workspace.find_file(request.apply), vectors, workspace.root)
        present(output, "audit-applied", cleaned, vectors, named)
        return
    pictures = PictureFolder.of(vectors, workspace, folder.images, seen=folder.seen)
    chosen = choose_level(vectors.levels, level, vectors.multi_labels)
    shape = vectors.vectors.shape
    choice = wanted_index(index.index, index.index_dims, *shape, recall=index.recall)
    with output.progress_bar("index") as progress:
        opened = open_index(vectors, path, workspace.cached_indexes, choice, index.recall, progress)
    looked_at = pictures if request.pictures else None
    found = audit_catalog(
        vectors, chosen, looked_at, index=opened.index, seed=seed, bars=output.progress_bar
    )
    present(output, "audit", found.at(**thresholds), vectors, named)
