"""How a catalogue was listed when it was last embedded, so that the next run goes on likewise."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from extract.errors import EmbeddingsFileError
from extract.storage.embeddings_file import read_provenance
from extract.workspace import Workspace

TABLE, FOLDER = "table", "folder"
COLUMNS = ("image_column", "id_column", "label_column")
SEPARATORS = ("label_separator", "multi_label_separator")
OPTIONS = (*COLUMNS, *SEPARATORS)
"""What shapes a catalogue in addition to its pictures' folder, by the names of the parameters."""


def described(kind: str, given: Mapping[str, str | None]) -> dict[str, Any]:
    """Spell how a catalogue is listed, for the record of its file."""
    return {"from": kind, **{name: given[name] for name in OPTIONS if given.get(name)}}


def last_record(workspace: Workspace, catalog: str, output: Path | None) -> Mapping[str, Any]:
    """Read the record of the file of a catalogue that was last filled; empty without one.

    Parameters
    ----------
    workspace : Workspace
    catalog : str
        Its name.
    output : Path or None
        The one file that is meant, where it was named.
    """
    records = []
    for path in workspace.stored_embeddings(catalog) if output is None else (output,):
        try:
            records.append(read_provenance(path).record)
        except EmbeddingsFileError:
            continue  # not there, or reported when that file is used
    return max(records, key=lambda record: str(record.get("updated") or ""), default={})


def last_listing(workspace: Workspace, last: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Find how a catalogue was listed when its file was last filled.

    Parameters
    ----------
    workspace : Workspace
    last : mapping
        What :func:`last_record` found.
    kind : {'table', 'folder'}
        Where it is listed from now: options of the other do not fit.

    Returns
    -------
    dict of str to str
        Options by their names, and for a table ``images_dir``; empty where nothing is known.
    """
    recorded = last.get("listing")
    known = recorded if isinstance(recorded, Mapping) else _typed(str(last.get("command") or ""))
    if known.get("from") != kind:
        return {}
    found = {name: known[name] for name in OPTIONS if isinstance(known.get(name), str)}
    root = last.get("images_root")
    if kind == TABLE and isinstance(root, str):
        found["images_dir"] = str(workspace.root / root)
    return found


def settled(
    typed: Mapping[str, str | None], last: Mapping[str, str]
) -> tuple[dict[str, str | None], list[str]]:
    """Take what was typed, and else what was so the last time.

    An empty text takes an option back. A separator that is typed cuts a column that is typed, and a
    column that is typed is not cut as another was.

    Parameters
    ----------
    typed : mapping of str to str or None
        Only what stood on the command line.
    last : mapping of str to str

    Returns
    -------
    taken : dict of str to str or None
        By the names of the parameters.
    kept : list of str
        The options that are taken from the last time, as one types them.
    """
    given = {name: value or None for name, value in typed.items()}
    kept = {name: value for name, value in last.items() if name not in given}
    other_column = given.get("label_column", last.get("label_column")) != last.get("label_column")
    cut = any(given.get(name) for name in SEPARATORS)
    if other_column or cut:
        kept = {name: value for name, value in kept.items() if name not in SEPARATORS}
    if cut:
        kept.pop("label_column", None)
    options = [f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in kept.items()]
    return {**kept, **given}, options


def _typed(command: str) -> dict[str, str]:
    """Read the options out of a command; earlier versions kept no more than that."""
    try:
        words = [part for word in shlex.split(command) for part in _split(word)]
    except ValueError:
        return {}
    found = {"from": TABLE if "--manifest" in words else FOLDER}
    for name in OPTIONS:
        option = f"--{name.replace('_', '-')}"
        if option in words[:-1]:
            found[name] = words[words.index(option) + 1]
    return found


def _split(word: str) -> list[str]:
    option, equal, value = word.partition("=")
    return [option, value] if equal and option.startswith("--") else [word]
