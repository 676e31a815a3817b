"""Labels that people would read as one: they differ in case, blanks or unicode form alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

import numpy as np

from extract.catalog.catalog import Level
from extract.catalog.multi_label import MultiLabel
from extract.ids import shown

MOST_PAIRS = 5


def alike_labels(levels: Iterable[Level | MultiLabel]) -> tuple[str, ...]:
    """Name the labels that differ in case, blanks or unicode form alone, with their counts.

    Returns
    -------
    tuple of str
        A line a level that has such labels; they are not made one.
    """
    notes = []
    for level in levels:
        groups = groups_of_alike(level)
        if not groups:
            continue
        same = [" and ".join(_spelled(group)) for group in groups[:MOST_PAIRS]]
        more = f", and {len(groups) - MOST_PAIRS} more" if len(groups) > MOST_PAIRS else ""
        notes.append(
            f"level {shown(level.name)}: {'; '.join(same)}{more} differ in case, blanks or unicode "
            "form alone and are classes of their own: spell them alike if they are one"
        )
    return tuple(notes)


def groups_of_alike(level: Level | MultiLabel) -> list[dict[str, int]]:
    """Group the labels of a level that people would read as one, each with its count."""
    codes = level.codes[level.codes >= 0]
    counts = np.bincount(codes, minlength=len(level.categories)).tolist()
    return _alike(dict(zip(level.categories, counts, strict=True)))


def _alike(counts: Mapping[str, int]) -> list[dict[str, int]]:
    """Group the labels that read the same and have pictures; groups of one are left out."""
    groups: dict[str, dict[str, int]] = {}
    for label, count in counts.items():
        if count:
            groups.setdefault(_read(label), {})[label] = count
    return [group for group in groups.values() if len(group) > 1]


def _read(label: str) -> str:
    """Spell a label without what an eye does not see."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return "".join(c for c in plain if not c.isspace() and unicodedata.category(c) != "Cf")


def _spelled(group: Mapping[str, int]) -> list[str]:
    """Quote labels with their counts; those that look the same by their code points."""
    looks = [unicodedata.normalize("NFC", shown(label)) for label in group]
    spell = repr if len(set(looks)) == len(looks) else ascii
    return [f"{spell(label)} ({count:,})" for label, count in group.items()]
