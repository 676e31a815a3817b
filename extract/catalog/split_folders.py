"""Folders called train and test are a split of the pictures, not their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of folders, in any case, and the side of a split that each means."""

COLUMN = "split"


@dataclass(frozen=True)
class SplitFolders:
    """The split that folders name, separate from the folders that name classes.

    Parameters
    ----------
    sides : tuple of str, or None
        ``train``, ``validation`` or ``test`` for each picture, empty where it lies in no folder;
        None where folders are no split.
    paths : tuple of str
        Of each picture, without the folder that is its side.
    notes : tuple of str
        What is taken for what, or is ambiguous, for people.
    """

    sides: tuple[str, ...] | None
    paths: tuple[str, ...]
    notes: tuple[str, ...] = ()


def split_of_folders(paths: Sequence[str]) -> SplitFolders:
    """Take outermost folders for a split where all of them are called so.

    There have to be two sides, or one with folders below. Where other folders lie next to them, or
    a split lies below classes, nothing is taken, and a note reports that.

    Parameters
    ----------
    paths : sequence of str
        With ``/``; empty for a picture that lies elsewhere.
    """
    folders = [path.split("/")[:-1] for path in paths]
    there = [each for path, each in zip(paths, folders, strict=True) if path]
    tops = sorted({each[0] if each else "" for each in there})
    sides = {SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}
    nested = any(len(each) > 1 for each in there)
    named = ", ".join(top for top in tops if top.lower() in SPLITS)
    if sides and all(top.lower() in SPLITS for top in tops) and (len(sides) > 1 or nested):
        below = "the folders below are classes" if nested else "no folder below them is a class"
        note = (
            f"folders {named} are taken for a split, column {COLUMN}, which python -m analyze head "
            f"--split-column {COLUMN} keeps to; {below}: are they classes, name them otherwise"
        )
        taken = tuple(SPLITS[each[0].lower()] if each else "" for each in folders)
        bare = tuple(path.partition("/")[2] if path else "" for path in paths)
        return SplitFolders(taken, bare, (note,))
    notes = []
    if len(sides) > 1:
        notes.append(
            f"folders {named} stand next to others and are taken for classes: are they a split, "
            "move the others into them"
        )
    for depth in range(1, max(map(len, there), default=0)):
        names = {each[depth] for each in there if len(each) > depth}
        found = {SPLITS.get(name.lower()) for name in names}
        if None not in found and len(found) > 1:
            notes.append(
                f"folders {', '.join(sorted(names))} below others are taken for classes: are they "
                "a split, make them the outermost folders"
            )
    return SplitFolders(None, tuple(paths), tuple(notes))
