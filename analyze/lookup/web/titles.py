"""Titles of label levels on pages: those that were given, else the names of the levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analyze.neighbors.category_filter import Inside
from extract.errors import UsageError
from extract.ids import shown

LONGEST_TITLE = 200


@dataclass(frozen=True)
class Titles:
    """The words that people read instead of a level's name.

    Parameters
    ----------
    words : mapping of str to str
        By the level's name.
    """

    words: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Sequence[str], levels: Sequence[str]) -> Titles:
        """Read ``LEVEL=WORDS`` each; a level's name may hold a ``=``.

        Parameters
        ----------
        given : sequence of str
        levels : sequence of str
            The names there are.

        Raises
        ------
        UsageError
            When there is no such level, it has two titles, or no words are given.
        """
        words: dict[str, str] = {}
        for text in given:
            fitting = [level for level in levels if text.startswith(f"{level}=")]
            if not fitting:
                have = ", ".join(map(shown, levels)) or "none"
                wrong = f"--level-title {shown(text)}: give LEVEL=WORDS"
                raise UsageError(f"{wrong}, of the levels there are: {have}")
            level = max(fitting, key=len)
            title = text[len(level) + 1 :].strip()
            if not title:
                raise UsageError(f"--level-title {shown(text)}: give words behind the =")
            if level in words:
                raise UsageError(f"--level-title names {shown(level)} twice: give it once")
            words[level] = title
        return cls(words)

    def of(self, level: str) -> str:
        """Give what a level is called."""
        return shown(self.words.get(level, level))[:LONGEST_TITLE]

    def inside(self, inside: Inside | None) -> str:
        """Spell what a search is confined to; empty where it is not."""
        if inside is None:
            return ""
        parts = (
            f"{self.of(level)}: {' or '.join(map(shown, values))}"
            for level, values in inside.where.items()
        )
        return ", ".join(parts)[:LONGEST_TITLE]
