"""What all tests of heads share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def few_strengths(few_strengths: None) -> None:
    """Search two strengths of the regression in every test here."""


@pytest.fixture(scope="session")
def few(overlapping: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """24 pictures of each of the five classes that overlap, and 24 of their numbers."""
    vectors, labels = overlapping
    rows = np.sort(np.concatenate([np.flatnonzero(labels == own)[:24] for own in range(5)]))
    return vectors[rows, :24], labels[rows]
