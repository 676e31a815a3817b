"""Which of a backbone's stored files is taken where none is named, and how that is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analyze.commands.stored_file import StoredFile
from extract.command_line import log
from extract.embeddings import Provenance
from extract.errors import UsageError
from extract.workspace import Workspace

OPTIONS = {"--resize": "resize", "--pooling": "pooling"}


def the_one(
    workspace: Workspace,
    files: Sequence[StoredFile],
    refused: Callable[[Sequence[StoredFile]], str] | None = None,
) -> StoredFile:
    """Take the only file; of those that differ in geometry and pooling alone the default's.

    What is taken among several is said.

    Parameters
    ----------
    workspace : Workspace
    files : sequence of StoredFile
        One at least.
    refused : callable, optional
        What to say of several of which none is taken.

    Raises
    ------
    UsageError
        When it is not clear which one is meant; the message lists them.
    """
    if len(files) == 1:
        return files[0]
    alike = len({file.but_for_geometry_and_pooling for file in files}) == 1
    taken = _default_of(files) if alike else None
    if taken is None:
        raise UsageError((refused or (lambda several: _which(workspace, several)))(files))
    log.info(_said_of(workspace, taken, [file for file in files if file is not taken]))
    return taken


def listed(workspace: Workspace, files: Sequence[StoredFile]) -> str:
    """List files with what tells them apart."""
    return ", ".join(f"{workspace.relative(file.path)} ({file.words})" for file in files)


def _default_of(files: Sequence[StoredFile]) -> StoredFile | None:
    """Take what ``--resize auto`` and ``--pooling auto`` make, in as far as files differ in it.

    Where none is, it is the only file that is complete.
    """
    resize = "auto" if len({file.geometry for file in files}) > 1 else None
    pooling = "auto" if len({_made(file).pooling for file in files}) > 1 else None
    usual = [file for file in files if file.fits(resize, pooling)]
    usual = usual or [file for file in files if file.is_complete()]
    return usual[0] if len(usual) == 1 else None


def _made(file: StoredFile) -> Provenance:
    assert file.made is not None, "a file that cannot be read is like no other"
    return file.made


def _said_of(workspace: Workspace, taken: StoredFile, others: Sequence[StoredFile]) -> str:
    """Say which of several files is taken, and which options take another."""
    mine = _made(taken)
    apart = {
        option: part
        for option, part in OPTIONS.items()
        if any(getattr(_made(file), part) != getattr(mine, part) for file in others)
    }

    def words(made: Provenance) -> str:
        return " ".join(getattr(made, part) for part in apart.values())

    if not apart:  # geometries of one name
        there = [workspace.relative(file.path) for file in others]
        return f"taking {workspace.relative(taken.path)}: there is {', '.join(there)} too"
    said = f"taking {workspace.relative(taken.path)} ({words(mine)}): there"
    *most, last = sorted(words(_made(file)) for file in others)
    if most:
        return f"{said} are {', '.join(most)} and {last} too, {' and '.join(apart)} take them"
    typed = " ".join(f"{o} {getattr(_made(others[0]), part)}" for o, part in apart.items())
    return f"{said} is {last} too, {typed} takes it"


def _which(workspace: Workspace, files: Sequence[StoredFile]) -> str:
    """Ask which of several files is meant, by the options that tell them apart."""
    made = [file.made for file in files if file.made]
    said = {
        "--model NAME": {file.model for file in files},
        "--catalog NAME": {file.catalog for file in files},
        **{option: {getattr(each, part) for each in made} for option, part in OPTIONS.items()},
    }
    *most, last = ["--embeddings FILE", *(option for option, own in said.items() if len(own) > 1)]
    options = f"{', '.join(most)} or {last}" if most else last
    return f"{len(files)} embeddings files, say which with {options}: {listed(workspace, files)}"
