"""Examples in docstrings of all that is public run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import re
from typing import Any

import matplotlib.pyplot as plt
import pytest
from small_catalogs import PROJECT

import analyze
import extract
from extract.sklearn import EmbeddingExtractor

PUBLIC = [
    *(getattr(package, n) for package in (extract, analyze) for n in package._PARTS),
    EmbeddingExtractor,
]
PAGE = (PROJECT / "docs" / "python.md").read_text().partition("## What is public")[2]
TYPED = (PROJECT / "tests" / "typed_script.py").read_text()
RESULTS = "analyze.clustering.result"
PROCRUSTES = "analyze.reduction.procrustes"
MODULES = sorted({each.__module__ for each in PUBLIC} | {RESULTS, PROCRUSTES})


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    plt.close("all")  # those of plots
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_what_is_public_has_an_example_a_type_and_a_place_on_its_page(public: Any) -> None:
    """The typed script is read by mypy, and is not run."""
    assert re.search(rf"\b{public.__name__}[(.)]", TYPED)
    assert "\n    Examples\n    --------\n    >>> " in (public.__doc__ or "")
    assert public.__name__ in PAGE
