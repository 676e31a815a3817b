"""Examples in docstrings of what is public run, and give what they say."""

from __future__ import annotations

import doctest
import importlib

import matplotlib.pyplot as plt
import pytest

MODULES = [
    "extract.sklearn.extractor",
    "extract.storage.embeddings",
    "analyze.clustering.clustering",
    "analyze.clustering.result",
    "analyze.head.assessment",
    "analyze.head.classifier",
    "analyze.measures.agreement",
    "analyze.neighbors.indexes.exact_search",
    "analyze.neighbors.neighbor_index",
    "analyze.reduction.reduction",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    plt.close("all")  # those of plots
    assert found.attempted
    assert not found.failed
