"""Embeddings in, answers out.

Importing this package loads nothing heavy; its parts are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PARTS = {
    "parse_steps": "analyze.reduction.reduction",
    "reduce": "analyze.reduction.reduction",
    "cluster": "analyze.clustering.clustering",
    "agree": "analyze.measures.agreement",
    "one_nn_accuracy": "analyze.neighbors.indexes.exact_search",
    "NeighborIndex": "analyze.neighbors.neighbor_index",
    "compare": "analyze.comparison.comparison",
    "Execution": "analyze.clustering.runs",
    "rank": "analyze.comparison.ranking.ranking",
    "retrieve": "analyze.neighbors.retrieval_result",
    "analyze_embeddings": "analyze.clustering.analysis",
    "assess_head": "analyze.head.results",
    "audit": "analyze.auditing.audit",
    "assess_robustness": "analyze.robustness.assessment",
    "RobustnessSpec": "analyze.robustness.assessment",
    "explain": "analyze.explanation.reporting.explained",
    "ExplanationSpec": "analyze.explanation.spec",
    "ExplanationMethods": "analyze.explanation.reporting.methods",
    "report": "analyze.reporting.from_python",
    "interactive_map": "analyze.reporting.from_python",
    "train_head": "analyze.head.classifier",
    "load_head": "analyze.head.classifier",
    "HeadClassifier": "analyze.head.classifier",
    "HeadSpec": "analyze.head.training.spec",
    "TrainingSpec": "analyze.head.training.spec",
    "Plan": "analyze.head.training.spec",
}

__all__ = [*_PARTS]

if TYPE_CHECKING:  # what type checkers and editors see of the parts
    from analyze.auditing.audit import audit as audit
    from analyze.clustering.analysis import analyze_embeddings as analyze_embeddings
    from analyze.clustering.clustering import cluster as cluster
    from analyze.clustering.runs import Execution as Execution
    from analyze.comparison.comparison import compare as compare
    from analyze.comparison.ranking.ranking import rank as rank
    from analyze.explanation.reporting.explained import explain as explain
    from analyze.explanation.reporting.methods import ExplanationMethods as ExplanationMethods
    from analyze.explanation.spec import ExplanationSpec as ExplanationSpec
    from analyze.head.classifier import HeadClassifier as HeadClassifier
    from analyze.head.classifier import load_head as load_head
    from analyze.head.classifier import train_head as train_head
    from analyze.head.results import assess_head as assess_head
    from analyze.head.training.spec import HeadSpec as HeadSpec
    from analyze.head.training.spec import Plan as Plan
    from analyze.head.training.spec import TrainingSpec as TrainingSpec
    from analyze.measures.agreement import agree as agree
    from analyze.neighbors.indexes.exact_search import one_nn_accuracy as one_nn_accuracy
    from analyze.neighbors.neighbor_index import NeighborIndex as NeighborIndex
    from analyze.neighbors.retrieval_result import retrieve as retrieve
    from analyze.reduction.reduction import parse_steps as parse_steps
    from analyze.reduction.reduction import reduce as reduce
    from analyze.reporting.from_python import interactive_map as interactive_map
    from analyze.reporting.from_python import report as report
    from analyze.robustness.assessment import RobustnessSpec as RobustnessSpec
    from analyze.robustness.assessment import assess_robustness as assess_robustness
else:

    def __getattr__(name: str) -> Any:
        """Load a public part on first use (PEP 562)."""
        if name not in _PARTS:
            raise AttributeError(f"module 'analyze' has no attribute {name!r}")
        return getattr(import_module(_PARTS[name]), name)


def __dir__() -> list[str]:
    """List the parts too that are not loaded yet."""
    return sorted({*globals(), *__all__})
