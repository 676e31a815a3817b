"""A catalogue at a glance: how many pictures a class holds, and what some of them look like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from analyze.pictures.duplicates import groups_of_equal_bytes
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation import wording
from analyze.presentation.contact_sheet import ClassRow, draw_classes
from analyze.presentation.palette import UNMATCHED, styles_of
from analyze.presentation.result import Draw, Result
from extract.catalog.alike_labels import alike_labels
from extract.catalog.catalog import Level
from extract.command_line import counted_pictures
from extract.storage.embeddings import EmbeddingSet

MOST_CLASSES = 20
MOST_LISTED = 80
NO_LABEL = "no label"


@dataclass(frozen=True, eq=False, repr=False)
class Glance(Result):
    """What a catalogue holds.

    Parameters
    ----------
    embeddings : EmbeddingSet
    level : Level or None
    classes : tuple of (str, ndarray of int)
        Name and rows of each class in the level's order, rows without a label last.
    copies : tuple of ndarray of int
        Groups of rows with pictures that are equal byte for byte.
    pictures : PictureFolder, optional
        Where the sheet is to be drawn.
    n_examples, seed : int
        How many pictures of a class are drawn, and by which seed.
    notes : tuple of str
    """

    embeddings: EmbeddingSet
    level: Level | None
    classes: tuple[tuple[str, np.ndarray], ...]
    copies: tuple[np.ndarray, ...]
    pictures: PictureFolder | None = None
    n_examples: int = 6
    seed: int = 0
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Spell counts and copies for programs."""
        ids = self.embeddings.ids
        return {
            **self.embeddings.provenance.to_json(),
            "n_images": len(self.embeddings),
            "left_out": sum(self.embeddings.left_out.values()),
            "left_out_by_reason": dict(self.embeddings.left_out),
            "level": self.level.name if self.level else None,
            "classes": [{"class": name, "n_images": len(rows)} for name, rows in self.classes],
            "equal_bytes": [[ids[row] for row in rows] for rows in self.copies],
            "seed": self.seed,
            "notes": self._notes(),
        }

    def text(self) -> str:
        """Return the classes and the copies as lines for people."""
        from extract.ids import shown

        level = f", level {self.level.name}" if self.level else ", no labels"
        lines = [f"{counted_pictures(len(self.embeddings))}{level}"]
        width = min(60, max(len(shown(name)) for name, _ in self.classes) + 2)
        lines += [
            f"  {shown(name)[:width]:<{width}} {len(rows):>8,}"
            for name, rows in self.classes[:MOST_LISTED]
        ]
        if len(self.classes) > MOST_LISTED:
            lines.append(f"  and {len(self.classes) - MOST_LISTED} more: --json lists them all")
        lines += wording.left_out(self.embeddings.left_out)
        for rows in self.copies[:MOST_LISTED]:
            same = ", ".join(shown(self.embeddings.ids[row]) for row in rows)
            lines.append(f"equal byte for byte: {same}")
        return "\n".join([*lines, *wording.notes(self._notes())])

    def figures(self) -> dict[str, Draw]:
        """Return ``catalog``: some pictures of each class, where there are pictures."""
        if self.pictures is None:
            return {}
        drawn = {"n_examples": self.n_examples, "seed": self.seed}
        return {"catalog": partial(draw_glance, self, self.pictures, **drawn)}

    def _notes(self) -> list[str]:
        """Return notes on the labels, and on the pictures that were drawn so far."""
        of_labels = alike_labels([*self.embeddings.levels, *self.embeddings.multi_labels])
        return [*self.notes, *of_labels, *(self.pictures.notes() if self.pictures else ())]


def glance_at(embeddings: EmbeddingSet, level: Level | None) -> Glance:
    """Count the classes of a level, and the pictures that are there more than once."""
    if level is None:
        classes = [("all pictures", np.arange(len(embeddings)))]
    else:
        rows = [np.flatnonzero(level.codes == code) for code in range(len(level.categories))]
        classes = [(n, r) for n, r in zip(level.categories, rows, strict=True) if len(r)]
        unlabelled = np.flatnonzero(level.codes < 0)
        classes += [(NO_LABEL, unlabelled)] if len(unlabelled) else []
    groups = groups_of_equal_bytes(embeddings.content_sha256, len(embeddings))
    numbers, counts = np.unique(groups, return_counts=True)
    copies = tuple(np.flatnonzero(groups == number) for number in numbers[counts > 1])
    copies = tuple(sorted(copies, key=lambda rows: int(rows[0])))
    return Glance(embeddings, level, tuple(classes), copies)


def draw_glance(glance: Glance, pictures: PictureFolder, *, n_examples: int, seed: int) -> Any:
    """Draw a row a class: its count, and some of its pictures, drawn by a seed.

    Of many classes the largest are drawn, with the number of the others.
    """
    largest = sorted(range(len(glance.classes)), key=lambda i: -len(glance.classes[i][1]))
    shown = [glance.classes[i] for i in sorted(largest[:MOST_CLASSES])]
    rng = np.random.default_rng(seed)
    styles = styles_of(glance.level)
    rows = []
    for name, members in shown:
        drawn = np.sort(rng.permutation(members)[:n_examples]).tolist()
        color = UNMATCHED if name == NO_LABEL or not glance.level else styles[name][0]
        rows.append(ClassRow(name, len(members), color, [pictures.show(row) for row in drawn]))
    more = len(glance.classes) - len(shown)
    n_classes = sum(name != NO_LABEL for name, _ in glance.classes)
    level = f" · level {glance.level.name}" if glance.level else ""
    return draw_classes(
        rows,
        title=f"{counted_pictures(len(glance.embeddings))}, {n_classes} "
        f"{'class' if n_classes == 1 else 'classes'}{level}"
        if glance.level
        else f"{counted_pictures(len(glance.embeddings))} without labels",
        subtitle=f"up to {n_examples} of each, drawn by seed {seed}"
        + (f"; {more} smaller classes are not drawn" if more else "")
        + pictures.how_shown,
        framed=pictures.as_seen is not None,
    )
