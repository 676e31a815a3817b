"""Everything that a report shows, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analyze.reporting.answer import Pair
from analyze.reporting.backbones import Backbone
from analyze.reporting.columns import Column
from analyze.reporting.headline import Headline
from analyze.reporting.messages import Words
from analyze.reporting.page.thumbnails import Thumbnails
from analyze.reporting.page.tree import Tree
from analyze.reporting.sections import Section
from extract.catalog.catalog import Level

PARTS = (
    "answer", "scores", "maps", "audit", "confusion", "pairs", "clusters", "trees", "runs",
    "missing", "provenance",
)  # fmt: skip
"""Of the page, in its order."""


@dataclass(frozen=True)
class Missing:
    """What nothing was computed of, and the command that does.

    Parameters
    ----------
    what, command : str
    """

    what: str
    command: str


@dataclass(frozen=True, eq=False, repr=False)
class ReportContent:
    """What commands computed of one catalogue, to be read by people.

    Parameters
    ----------
    catalog : str
    words : Words
        Of its language.
    backbones : tuple of Backbone
        The best first.
    names : tuple of str, or None
        Of the products; None where there are only ids.
    columns : tuple of Column
        To color by.
    thumbnails : Thumbnails
    level : Level or None
    class_order : tuple of int
        Codes of the classes, those of one parent together.
    groups : tuple of (str, int)
        Parents, and how many classes each has; none where there is no level above.
    answer : tuple of str
    headline : Headline or None
        The run that the first sentence speaks of.
    pairs : tuple of Pair
    trees : mapping of str to Tree
    sections : tuple of Section
    missing : tuple of Missing
    provenance : mapping
    notes : tuple of str
    parts : tuple of str
        What of it is shown, of :data:`PARTS`.
    """

    catalog: str
    words: Words
    backbones: tuple[Backbone, ...]
    names: tuple[str, ...] | None
    columns: tuple[Column, ...]
    thumbnails: Thumbnails
    level: Level | None = None
    class_order: tuple[int, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    answer: tuple[str, ...] = ()
    headline: Headline | None = None
    pairs: tuple[Pair, ...] = ()
    trees: Mapping[str, Tree] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    missing: tuple[Missing, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    parts: tuple[str, ...] = PARTS

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the pictures."""
        return self.backbones[0].embeddings.ids

    def section(self, kind: str) -> Section | None:
        """Find the section of a command."""
        return next((each for each in self.sections if each.kind == kind), None)

    def to_json(self) -> dict[str, Any]:
        """Spell what is on the page with the keys that programs read."""
        return {
            "catalog": self.catalog,
            "language": self.words.language,
            "n_images": len(self.ids),
            "n_shown": self.thumbnails.n_shown,
            "level": self.level.name if self.level else None,
            "answer": list(self.answer),
            "headline": self.headline.to_json() if self.headline else None,
            "models": [
                {
                    "file": each.file,
                    **each.embeddings.provenance.to_json(),
                    "map": each.map.steps if each.map else None,
                    "clusters": each.clustered.run.folder.name if each.clustered else None,
                }
                for each in self.backbones
            ],
            "pairs": [
                {"a": pair.a, "b": pair.b, "n": len(pair.rows), "n_of_a": pair.n_of_a}
                for pair in self.pairs
            ],
            "sections": [section.to_json() for section in self.sections],
            "missing": [vars(each) for each in self.missing],
            "provenance": dict(self.provenance),
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """Return the answer, what is missing with its commands, and notes, as lines."""
        lines = [*self.answer]
        lines += [self.headline.text(self.words)] if self.headline else []
        missing = self.words("missing").lower()
        lines += [f"{missing}: {each.what}: {each.command}" for each in self.missing]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        """The answer as text."""
        return self.text()
