"""What tests of heads share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def few_strengths() -> Iterator[None]:
    """Search two strengths in two parts: the baseline, a regression, takes most of the time."""
    with pytest.MonkeyPatch.context() as patched:
        for module in ("analyze.measures.probes", "analyze.head.tasks.set_baselines"):
            patched.setattr(f"{module}.GRID", (1.0, 10.0))
            patched.setattr(f"{module}.INNER_FOLDS", 2)
        yield


@pytest.fixture(scope="session")
def few(overlapping: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """24 pictures of each of the five classes that overlap, and 24 of their numbers."""
    vectors, labels = overlapping
    rows = np.sort(np.concatenate([np.flatnonzero(labels == own)[:24] for own in range(5)]))
    return vectors[rows, :24], labels[rows]
