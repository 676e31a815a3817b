"""What pages call the levels of labels."""

from __future__ import annotations

import numpy as np
import pytest

from analyze.lookup.web.titles import Titles
from analyze.neighbors.category_filter import Inside
from extract.errors import UsageError

LEVELS = ("tree", "tree=1", "tree_2", "c\u202elass")


def test_words_stand_for_the_longest_level_they_may_mean() -> None:
    titles = Titles.read(["tree=1=a = b", "tree= Department ", "c\u202elass=Shade"], LEVELS)
    assert titles.words == {"tree=1": "a = b", "tree": "Department", "c\u202elass": "Shade"}
    assert titles.of("tree") == "Department"
    assert titles.of("tree_2") == "tree_2"


def test_what_is_shown_holds_no_control_characters_and_is_not_endless() -> None:
    titles = Titles.read([f"tree=\u202e\x1b[2J{'x' * 999}"], LEVELS)
    assert titles.of("tree").isprintable()
    assert titles.of("c\u202elass").isprintable()
    assert len(titles.of("tree")) == 200


def test_what_a_search_is_confined_to_is_spelled_with_them() -> None:
    inside = Inside(np.arange(3), {"tree": ("Home", "Kitchen"), "tree_2": ("Cups",)})
    titles = Titles({"tree": "Department"})
    assert titles.inside(inside) == "Department: Home or Kitchen, tree_2: Cups"
    assert titles.inside(None) == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["colour=Shade"], "tree, tree=1, tree_2"),
        (["tree"], "LEVEL=WORDS"),
        (["tree_2="], "words"),
        (["tree_2=  "], "words"),
        (["tree_2=a", "tree_2=b"], "tree_2 twice"),
    ],
)
def test_titles_that_cannot_be_are_refused_in_one_line(given: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        Titles.read(given, LEVELS)
    message = str(refused.value)
    assert message.startswith("--level-title")
    assert message.isprintable()


def test_where_there_are_no_levels_that_is_said() -> None:
    with pytest.raises(UsageError, match="there are: none"):
        Titles.read(["tree=a"], ())
