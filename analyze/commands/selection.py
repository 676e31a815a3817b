"""Which embeddings files a command means."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from extract.catalog import shown
from extract.embeddings_file import read_provenance
from extract.errors import EmbeddingsFileError, UsageError
from extract.recipe import Extracting, Recipe
from extract.workspace import Workspace, file_name


def choose_embeddings(
    workspace: Workspace, embeddings: Path | None, model: str | None, catalog: str | None
) -> Path:
    """Find the one file that is meant; never choose among several.

    Raises
    ------
    UsageError
        When none fits, or several do; the message lists them.
    """
    if embeddings is not None:
        return workspace.find_file(embeddings)
    fitting = _of_models(_of_catalog(workspace, catalog), [model] if model is not None else [])
    if len(fitting) > 1:
        options = "--embeddings FILE, --model NAME or --catalog NAME"
        raise UsageError(
            f"{len(fitting)} embeddings files, say which with {options}: "
            f"{_listed(workspace, fitting)}"
        )
    return next(iter(fitting))


def choose_several(
    workspace: Workspace,
    embeddings: Sequence[Path],
    models: Sequence[str],
    catalog: str | None,
) -> tuple[Path, ...]:
    """Find the files to compare: those named, those of the models named, else all there are.

    Of a model all files of the catalogue are taken, whatever their identity. Files that are
    found, not named, are of one catalogue.

    Raises
    ------
    UsageError
        When none fits, or several catalogues do; the message lists them.
    """
    chosen = [workspace.find_file(path) for path in embeddings]
    if models or not chosen:
        fitting = _of_models(_of_catalog(workspace, catalog), models)
        catalogs = sorted({path.parent.name for path in fitting})
        if len(catalogs) > 1:
            raise UsageError(
                f"embeddings of {len(catalogs)} catalogues, say which with --catalog NAME: "
                f"{', '.join(catalogs)}"
            )
        chosen += fitting
    return tuple({path.resolve(): path for path in chosen}.values())


def choose_by_recipe(workspace: Workspace, recipe: Recipe, catalog: str | None) -> tuple[Path, ...]:
    """Find the files whose vectors are made as a recipe says, of one catalogue.

    Raises
    ------
    UsageError
        When there is none; the message ends in the command that makes it.
    """
    wanted = recipe.extract
    stored = _of_catalog(workspace, catalog)
    fitting = [path for path, (model, _) in stored.items() if model == wanted.model]
    fitting = [path for path in fitting if _is_made_so(path, wanted)]
    catalogs = sorted({path.parent.name for path in fitting})
    if len(catalogs) > 1:
        raise UsageError(
            f"embeddings of {len(catalogs)} catalogues, say which with --catalog NAME: "
            f"{', '.join(catalogs)}"
        )
    if not fitting:
        raise UsageError(
            f"no embeddings made as the recipe {recipe.name} says: type python -m extract --recipe "
            f"{shlex.quote(recipe.typed)} first, with the --images or --manifest of your catalogue"
        )
    return tuple(fitting)


def choose_one_by_recipe(
    workspace: Workspace, recipe: Recipe, catalog: str | None
) -> tuple[Path, ...]:
    """Find the one file whose vectors are made as a recipe says; never choose among several.

    Raises
    ------
    UsageError
        When there is none, or several are; the message lists them.
    """
    fitting = choose_by_recipe(workspace, recipe, catalog)
    if len(fitting) > 1:
        listed = ", ".join(workspace.relative(path) for path in fitting)
        raise UsageError(
            f"{len(fitting)} files are made as the recipe {recipe.name} says: {listed}; use python "
            "-m analyze compare --recipe, which takes them all"
        )
    return fitting


def _is_made_so(path: Path, wanted: Extracting) -> bool:
    made = read_provenance(path)
    geometry = made.identity.get("geometry")
    resize = geometry.get("resize") if isinstance(geometry, dict) else None
    return wanted.resize in (None, "auto", resize) and wanted.weights in (None, made.weights)


def _of_catalog(workspace: Workspace, catalog: str | None) -> dict[Path, tuple[str, str]]:
    """Give the stored files of one catalogue or of all, with model and weights."""
    stored = {path: _head(path) for path in workspace.stored_embeddings()}
    if not stored:
        raise UsageError(f"no embeddings in {workspace.cache}: run python -m extract first")
    folder = file_name(catalog) if catalog else None
    fitting = {path: head for path, head in stored.items() if folder in (None, path.parent.name)}
    if not fitting:
        have = ", ".join(sorted({path.parent.name for path in stored}))
        raise UsageError(f"no catalogue {catalog!r} in {workspace.cache}: there are {have}")
    return fitting


def _of_models(
    files: Mapping[Path, tuple[str, str]], models: Sequence[str]
) -> dict[Path, tuple[str, str]]:
    """Keep the files of some models, all where none is named."""
    have = {name for name, _ in files.values()}
    for model in models:
        if model not in have:
            there = ", ".join(sorted(have))
            raise UsageError(f"no embeddings of {model}: there are {there}; name one with --model")
    return {path: head for path, head in files.items() if not models or head[0] in models}


def _listed(workspace: Workspace, files: Mapping[Path, tuple[str, str]]) -> str:
    return ", ".join(
        f"{workspace.relative(path)} ({weights})" for path, (_, weights) in files.items()
    )


def _head(path: Path) -> tuple[str, str]:
    """Give model and weights of a file, for choosing and listing."""
    try:
        provenance = read_provenance(path)
    except EmbeddingsFileError:
        return "an unreadable file", "unreadable"
    return shown(provenance.model), shown(provenance.weights)
