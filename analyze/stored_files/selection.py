"""Which embeddings files are meant: one or several, by options or by a recipe."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analyze.stored_files.default_file import (
    each_of,
    listed,
    newest,
    say_what_is_behind,
    the_one,
    too_many,
)
from analyze.stored_files.stored_file import StoredFile
from extract.command_line import log
from extract.errors import UsageError
from extract.recipe import Recipe
from extract.storage.embeddings import Provenance
from extract.workspace import Workspace, file_name


@dataclass(frozen=True)
class Selection:
    """Which files are meant, as typed; what is empty or None requests nothing.

    Parameters
    ----------
    embeddings : tuple of Path
    models : tuple of str
    catalog, resize, pooling : str or None
    """

    embeddings: tuple[Path, ...] = ()
    models: tuple[str, ...] = ()
    catalog: str | None = None
    resize: str | None = None
    pooling: str | None = None

    @classmethod
    def of(
        cls,
        embeddings: Path | Iterable[Path] | None,
        model: str | Iterable[str] | None,
        catalog: str | None,
        resize: str | None,
        pooling: str | None,
    ) -> Selection:
        """Take options as a command has them, of one file or of several."""
        paths = (embeddings,) if isinstance(embeddings, Path) else tuple(embeddings or ())
        models = (model,) if isinstance(model, str) else tuple(model or ())
        return cls(paths, models, catalog, resize, pooling)

    @property
    def how(self) -> str:
        """The options that say how vectors were made, as typed; empty without any."""
        given = {"--resize": self.resize, "--pooling": self.pooling}
        return " ".join(f"{option} {value}" for option, value in given.items() if value)


def choose_one(workspace: Workspace, wanted: Selection) -> Path:
    """Find the one file that is meant.

    Of files that differ in geometry and pooling alone it is today's default, else the only one
    that is complete, and which it is is noted; among others none is chosen.

    Raises
    ------
    UsageError
        When none fits, or several do; the message lists them.
    """
    if wanted.embeddings:
        taken = _named(workspace, wanted)[0]
    else:
        taken = the_one(workspace, _found(workspace, wanted), resize=wanted.resize).path
    return up_to_date(workspace, [taken])[0]


def choose_any(workspace: Workspace, wanted: Selection) -> Path:
    """Find a file of the catalogue that is meant, whoever made its vectors, and say which.

    It is one of the list of pictures that was embedded last, and complete where one is.

    Raises
    ------
    UsageError
        When none fits, or several catalogues do; the message lists them.
    """
    files = [StoredFile.at(path) for path in _choose_many(workspace, wanted)]
    taken = newest(files).path
    if len(files) > 1:
        log.info(f"of {len(files)} files of this catalogue taking {workspace.relative(taken)}")
    return up_to_date(workspace, [taken])[0]


def choose_files(workspace: Workspace, wanted: Selection) -> tuple[Path, ...]:
    """Find the files to compare: those named, those of the models named, else all there are.

    Of a model all files of the catalogue are taken, whatever their identity. Files that are
    found, not named, are of one catalogue.

    Raises
    ------
    UsageError
        When none fits, or several catalogues do; the message lists them.
    """
    return tuple(up_to_date(workspace, _choose_many(workspace, wanted)))


def choose_to_join(workspace: Workspace, wanted: Selection, *, join: bool) -> tuple[Path, ...]:
    """Find the file that is meant, or those that are to be joined.

    Raises
    ------
    UsageError
        As of :func:`choose_one` and :func:`choose_files`, or when several are not to be joined.
    """
    if join:
        return choose_files(workspace, wanted)
    if len(wanted.embeddings) > 1 or len(wanted.models) > 1:
        raise UsageError(
            "several files: give --join to lay them side by side, or use python -m analyze compare"
        )
    return (choose_one(workspace, wanted),)


def _choose_many(workspace: Workspace, wanted: Selection) -> list[Path]:
    chosen = _named(workspace, wanted)
    if wanted.models or not chosen:
        fitting = _found(workspace, wanted)
        _refuse_many_catalogs(fitting)
        chosen += [file.path for file in fitting]
    return list({path.resolve(): path for path in chosen}.values())


def up_to_date(workspace: Workspace, paths: Sequence[Path]) -> Sequence[Path]:
    """Give the files that are taken; of one that is behind others of its catalogue, say so."""
    folders = {path.resolve().parent for path in paths}
    stored = [path for path in workspace.stored_embeddings() if path.parent in folders]
    if len(stored) > 1:
        taken = [StoredFile.at(path.resolve()) for path in paths]
        say_what_is_behind(workspace, taken, [StoredFile.at(path) for path in stored])
    return paths


def choose_for_head(workspace: Workspace, trained_on: Provenance, wanted: Selection) -> Path:
    """Return the file to predict on: the vectors the head was trained on decide which.

    Raises
    ------
    UsageError
        When none fits, or several do; the message lists them.
    """
    if not (wanted.embeddings or wanted.models):
        stored = [StoredFile.at(path) for path in workspace.stored_embeddings(wanted.catalog)]
        fitting = [
            file
            for file in stored
            if file.made and file.made.identity_sha256 == trained_on.identity_sha256
            if file.fits(wanted.resize, wanted.pooling)
        ]
        if len(fitting) == 1:
            if len(stored) > 1:
                log.info(f"taking {listed(workspace, fitting)}, as the head was trained on")
            return up_to_date(workspace, [fitting[0].path])[0]
    return choose_one(workspace, wanted)


def choose_by_recipe(workspace: Workspace, recipe: Recipe, wanted: Selection) -> tuple[Path, ...]:
    """Return the files with vectors made by a recipe, of one catalogue.

    Raises
    ------
    UsageError
        When there is none; the message ends in the command that makes it.
    """
    found = [file.path for file in _by_recipe(workspace, recipe, wanted)]
    return tuple(up_to_date(workspace, found))


def choose_one_by_recipe(workspace: Workspace, recipe: Recipe, wanted: Selection) -> Path:
    """Return the one file with vectors made by a recipe, as :func:`choose_one` does.

    Raises
    ------
    UsageError
        When there is none, or several are; the message lists them.
    """

    def refused(fitting: Sequence[StoredFile]) -> UsageError:
        return UsageError(
            f"{len(fitting)} files are made by the recipe {recipe.name}: "
            f"{listed(workspace, fitting)}; use python -m analyze compare --recipe, which takes "
            "them all"
        )

    fitting, resize = _by_recipe(workspace, recipe, wanted), recipe.extract.resize or wanted.resize
    taken = the_one(workspace, fitting, refused, resize=resize).path
    return up_to_date(workspace, [taken])[0]


def _by_recipe(workspace: Workspace, recipe: Recipe, wanted: Selection) -> list[StoredFile]:
    fixed = recipe.extract
    resize, pooling = fixed.resize or wanted.resize, fixed.pooling or wanted.pooling
    fitting = [
        file
        for file in _of_catalog(workspace, wanted.catalog)
        if file.made and file.model == fixed.model and file.fits(resize, pooling)
        if fixed.weights in (None, file.made.weights)
    ]
    _refuse_many_catalogs(fitting)
    if not fitting:
        typed = " ".join(["--recipe", shlex.quote(recipe.typed), wanted.how]).rstrip()
        raise UsageError(
            f"no embeddings made by the recipe {recipe.name}: type python -m extract {typed} "
            "first, with the --images or --manifest of your catalogue"
        )
    return fitting


def _named(workspace: Workspace, wanted: Selection) -> list[Path]:
    """Give the files that are named; one that is not made as the other options say is refused."""
    paths = [workspace.find_file(path) for path in wanted.embeddings]
    for path in paths if wanted.how else ():
        file = StoredFile.at(path)
        if file.made and not file.fits(wanted.resize, wanted.pooling):
            raise UsageError(
                f"{workspace.relative(path)} is {file.words}: leave {wanted.how} out, or name "
                "another file"
            )
    return paths


def _found(workspace: Workspace, wanted: Selection) -> list[StoredFile]:
    """Find what fits; each model that is named must have a file that does."""
    files = _of_models(_of_catalog(workspace, wanted.catalog), wanted.models)
    if not wanted.how:
        return files
    fitting = [file for file in files if file.fits(wanted.resize, wanted.pooling)]
    left = {file.model for file in fitting}
    lacking = [name for name in wanted.models if name not in left]
    if lacking or not fitting:
        some = [file for file in files if not lacking or file.model in lacking]
        raise too_many(
            f"no embeddings of {', '.join(lacking) or 'any backbone'} with {wanted.how}: there are",
            each_of(workspace, some),
            "; name one of these, or make it by python -m extract",
        )
    return fitting


def _of_catalog(workspace: Workspace, catalog: str | None) -> list[StoredFile]:
    """Give the stored files of one catalogue or of all."""
    stored = workspace.stored_embeddings()
    if not stored:
        raise UsageError(f"no embeddings in {workspace.cache}: run python -m extract first")
    folder = file_name(catalog) if catalog else None
    fitting = [path for path in stored if folder in (None, path.parent.name)]
    if not fitting:
        have = sorted({path.parent.name for path in stored})
        raise too_many(f"no catalogue {catalog!r} in {workspace.cache}: there are", have)
    return [StoredFile.at(path) for path in fitting]


def _of_models(files: list[StoredFile], models: Sequence[str]) -> list[StoredFile]:
    """Keep the files of some models, all where none is named."""
    have = {file.model for file in files}
    for model in models:
        if model not in have:
            there = f"no embeddings of {model}: there are"
            raise too_many(there, sorted(have), "; name one with --model")
    return [file for file in files if not models or file.model in models]


def _refuse_many_catalogs(files: Sequence[StoredFile]) -> None:
    catalogs = sorted({file.catalog for file in files})
    if len(catalogs) > 1:
        raise too_many(
            f"embeddings of {len(catalogs)} catalogues, say which with --catalog NAME:", catalogs
        )
