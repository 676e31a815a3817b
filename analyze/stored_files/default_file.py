"""Which of a backbone's stored files is taken where none is named, with a note."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analyze.stored_files.stored_file import StoredFile
from extract.command_line import log
from extract.errors import UsageError
from extract.storage.embeddings import UNKNOWN, Provenance, geometry_words
from extract.workspace import Workspace

OPTIONS = {"--resize": "resize", "--pooling": "pooling"}
MOST_IN_A_LINE = 400
"""Characters; what is longer is listed, a line each."""


def the_one(
    workspace: Workspace,
    files: Sequence[StoredFile],
    refused: Callable[[Sequence[StoredFile]], UsageError] | None = None,
    *,
    resize: str | None = None,
) -> StoredFile:
    """Take the only file; of those that differ in geometry and pooling alone the default's.

    What is taken among several is noted.

    Parameters
    ----------
    workspace : Workspace
    files : sequence of StoredFile
        One at least.
    refused : callable, optional
        Makes the error of several of which none is taken.
    resize : str, optional
        As typed: of two geometries of that word, what ``extract`` makes of it.

    Raises
    ------
    UsageError
        When it is not clear which one is meant; the message lists them.
    """
    if len(files) == 1:
        return files[0]
    alike = len({file.but_for_geometry_and_pooling for file in files}) == 1
    taken = _default_of(files, resize or "auto") if alike else None
    if taken is None:
        raise (refused or (lambda found_files: _which(workspace, found_files)))(files)
    log.info(_note_of(workspace, taken, [file for file in files if file is not taken]))
    return taken


def newest(files: Sequence[StoredFile]) -> StoredFile:
    """Take a file of the list of pictures that was embedded last, one that is complete if any."""
    last = max(files, key=lambda file: (file.updated, file.pictures[1]))
    current = [file for file in files if file.pictures == last.pictures]
    return next((file for file in current if file.is_complete()), current[0])


def say_what_is_behind(
    workspace: Workspace, taken: Sequence[StoredFile], stored: Sequence[StoredFile]
) -> None:
    """Say of each file that is taken whether its catalogue has changed since.

    Parameters
    ----------
    workspace : Workspace
    taken : sequence of StoredFile
    stored : sequence of StoredFile
        All that are there.
    """
    for file in taken:
        later = [
            other
            for other in stored
            if other.path.parent == file.path.parent and other.updated > file.updated > ""
        ]
        if not later:
            continue
        last = max(later, key=lambda other: other.updated)
        if last.pictures != file.pictures and last.pictures[1]:
            log.info(
                f"{workspace.relative(file.path)} is behind: it is of {file.pictures[1]} pictures, "
                f"{workspace.relative(last.path)}, filled later, of {last.pictures[1]}"
                f"{' others' if last.pictures[1] == file.pictures[1] else ''}; bring it up to date "
                f"with python -m extract --model {file.model} and the options of this catalogue"
            )


def listed(workspace: Workspace, files: Sequence[StoredFile]) -> str:
    """List files with what tells them apart."""
    return ", ".join(each_of(workspace, files))


def too_many(message: str, choice: Sequence[str], end: str = "") -> UsageError:
    """Make an error that ends in a choice: in its line, or below it where that is long."""
    line = f"{message} {', '.join(choice)}{end}"
    if len(line) <= MOST_IN_A_LINE:
        return UsageError(line)
    return UsageError(f"{message} those below{end}", choice)


def each_of(workspace: Workspace, files: Sequence[StoredFile]) -> list[str]:
    """Name files, each with what tells it from the others."""
    words = iter(geometry_words([file.made for file in files if file.made]))
    return [
        f"{workspace.relative(file.path)} "
        f"({file.made.worded(next(words)) if file.made else file.words})"
        for file in files
    ]


def _default_of(files: Sequence[StoredFile], wanted: str) -> StoredFile | None:
    """Take what ``--resize`` and ``--pooling auto`` make, in as far as files differ in it.

    Where none is, it is the only file that is complete.
    """
    resize = wanted if len({file.geometry for file in files}) > 1 else None
    pooling = "auto" if len({_made(file).pooling for file in files}) > 1 else None
    usual = [file for file in files if file.is_as_made_by(resize, pooling)]
    usual = usual or [file for file in files if file.is_complete()]
    return usual[0] if len(usual) == 1 else None


def _made(file: StoredFile) -> Provenance:
    assert file.made is not None, "a file that cannot be read is like no other"
    return file.made


def _note_of(workspace: Workspace, taken: StoredFile, others: Sequence[StoredFile]) -> str:
    """Say which of several files is taken, and which options take another."""
    files = [taken, *others]
    values = {
        "--resize": geometry_words([_made(file) for file in files]),
        "--pooling": [_made(file).pooling for file in files],
    }
    apart = {option: words for option, words in values.items() if len(set(words)) > 1}
    if not apart:  # geometries of one name and size
        there = [workspace.relative(file.path) for file in others]
        return f"taking {workspace.relative(taken.path)}: there is {', '.join(there)} too"
    mine, *words = (" ".join(each) for each in zip(*apart.values(), strict=True))
    start = f"taking {workspace.relative(taken.path)} ({mine}): there"
    if len(words) > 1:
        *most, last = sorted(words)
        return f"{start} are {', '.join(most)} and {last} too, {' and '.join(apart)} take them"
    typed = " ".join(f"{option} {_typed(others[0], taken, option)}" for option in apart)
    return f"{start} is {words[0]} too, {typed} takes it"


def _typed(file: StoredFile, taken: StoredFile, option: str) -> str:
    """Spell what an option is given to take a file and not the other."""
    word: str = getattr(_made(file), OPTIONS[option])
    same = option == "--resize" and word == _made(taken).resize
    return "auto" if same and file.is_as_made_by("auto", None) else word


def _which(workspace: Workspace, files: Sequence[StoredFile]) -> UsageError:
    """Ask which of several files is meant, by the options that tell them apart."""
    made = [file.made for file in files if file.made]
    values = {
        "--model NAME": {file.model for file in files},
        "--catalog NAME": {file.catalog for file in files},
        **{option: {getattr(each, part) for each in made} for option, part in OPTIONS.items()},
    }
    *most, last = ["--embeddings FILE", *(option for option, own in values.items() if len(own) > 1)]
    options = f"{', '.join(most)} or {last}" if most else last
    catalogs = sorted(values["--catalog NAME"])
    line = each_of(workspace, files)
    found = too_many(f"{len(files)} embeddings files, say which with {options}:", line)
    if not found.listed or len(catalogs) == 1:
        return found
    return UsageError(
        f"{len(files)} embeddings files of {len(catalogs)} catalogues, say which with {options}:",
        [f"{name}: {_held_by([f for f in files if f.catalog == name])}" for name in catalogs],
    )


def _held_by(files: Sequence[StoredFile]) -> str:
    """Name the backbones of one catalogue's files, with the geometries of each."""
    words: dict[str, list[str]] = {}
    for file, geometry in zip(
        (f for f in files if f.made), geometry_words([f.made for f in files if f.made]), strict=True
    ):
        words.setdefault(file.model, []).append(geometry)
    words |= {file.model: [] for file in files if not file.made}
    return ", ".join(
        f"{model} ({', '.join(known)})" if (known := sorted({*found} - {UNKNOWN})) else model
        for model, found in words.items()
    )
