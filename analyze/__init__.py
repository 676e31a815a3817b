"""Embeddings in, answers out.

Importing this package loads nothing heavy; its parts are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PARTS = {
    "parse_steps": "analyze.reduction.reduction",
    "reduce": "analyze.reduction.reduction",
    "cluster": "analyze.clustering.clustering",
    "agree": "analyze.measures.agreement",
    "one_nn_accuracy": "analyze.neighbors.indexes.exact_search",
    "compare": "analyze.comparison.comparison",
    "rank": "analyze.ranking.ranking",
    "retrieve": "analyze.neighbors.retrieval_result",
    "analyze_embeddings": "analyze.clustering.analysis",
    "assess_head": "analyze.head.assessment",
}

__all__ = [*_PARTS]


def __getattr__(name: str) -> Any:
    """Load a public part on first use (PEP 562)."""
    if name not in _PARTS:
        raise AttributeError(f"module 'analyze' has no attribute {name!r}")
    return getattr(import_module(_PARTS[name]), name)
