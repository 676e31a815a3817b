"""Resamples, intervals and tests: the same for all, and as often right as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analyze.measures import bootstrap
from analyze.measures.bootstrap import (
    adjusted_by_holm,
    interval,
    p_value,
    permutation_p_value,
    resampled_weights,
)
from analyze.measures.contingency_metrics import METRICS, JointTables


def weights_of(units: np.ndarray, n_resamples: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(resampled_weights(units, n_resamples, seed)), axis=1)


def test_copies_are_drawn_together_and_units_as_often_as_there_are() -> None:
    units = np.array([4, 9, 9, 2, 9, 7])
    weights = weights_of(units, 500)
    assert weights.shape == (6, 500)
    assert (weights[1] == weights[2]).all()
    assert (weights[1] == weights[4]).all()
    assert (weights[[0, 1, 3, 5]].sum(axis=0) == 4).all()
    # the number of times that one of four is drawn in four draws
    shares = np.bincount(weights[0], minlength=5) / 500
    assert shares == pytest.approx(stats.binom.pmf(range(5), 4, 1 / 4), abs=0.07)


def test_resamples_do_not_depend_on_the_blocks_they_come_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = weights_of(np.arange(50), 40, seed=3)
    monkeypatch.setattr(bootstrap, "BLOCK_BYTES", 4 * 50 * 7)
    blocks = list(resampled_weights(np.arange(50), 40, seed=3))
    assert [block.shape[1] for block in blocks] == [7] * 5 + [5]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    assert (weights_of(np.arange(50), 40, seed=4) != whole).any()


def test_an_interval_is_moved_by_the_resamples_own_bias() -> None:
    resampled = np.random.default_rng(0).normal(0.5, 0.1, 20_000)
    low, high = interval(0.3, resampled)
    assert (low, high) == pytest.approx((0.3 - 0.196, 0.3 + 0.196), abs=0.005)


@pytest.mark.parametrize("difference", [0.0, 0.1, -0.25])
def test_a_p_value_is_that_of_the_normal_law_and_says_what_the_interval_says(
    difference: float,
) -> None:
    resampled = np.random.default_rng(1).normal(difference + 0.02, 0.1, 20_000)
    p = p_value(difference, resampled)
    assert p == pytest.approx(2 * stats.norm.sf(abs(difference) / 0.1), abs=0.02)
    low, high = interval(difference, resampled)
    assert (p < 0.05) == (low > 0 or high < 0)
    assert p_value(-difference, -resampled) == p


def test_a_p_value_is_never_0_and_never_beyond_1() -> None:
    assert p_value(5.0, np.full(999, 5.0)) == 2 / 1000
    assert p_value(0.0, np.zeros(999)) == 1.0
    assert permutation_p_value(1.0, np.zeros(999)) == 1 / 1000
    assert permutation_p_value(0.0, np.zeros(999)) == 1.0


def test_holm_is_the_textbooks() -> None:
    # Holm 1979: the smallest by m, the next by m - 1, never less than one before
    assert adjusted_by_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjusted_by_holm([0.6, 0.5]) == [1.0, 1.0]
    assert adjusted_by_holm([0.02]) == [0.02]
    assert adjusted_by_holm([]) == []


def of_table(table: np.ndarray) -> tuple[float, np.ndarray]:
    """Give the ARI that endlessly many pictures of a table of shares have, and its cells."""
    squares = (table**2).sum(), (table.sum(1) ** 2).sum(), (table.sum(0) ** 2).sum()
    expected = squares[1] * squares[2]
    most = (squares[1] + squares[2]) / 2
    return (squares[0] - expected) / (most - expected), table.ravel()


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """In 200 trials of 7 classes; the long proof is in the benchmarks."""
    rng = np.random.default_rng(5)
    table = 0.1 * np.outer(np.full(7, 1 / 7), np.full(7, 1 / 7)) + 0.9 * np.diag(np.full(7, 1 / 7))
    table[0, 1] += table[1, 1]
    table[1, 1] = 0
    truth, cells = of_table(table)
    inside = 0
    for trial in range(200):
        labels, assignments = np.divmod(rng.choice(49, 500, p=cells), 7)
        weights = weights_of(np.arange(500), 300, seed=trial)
        estimate = float(METRICS["ari"](JointTables.of(labels, assignments))[0])
        found = interval(estimate, METRICS["ari"](JointTables.of(labels, assignments, weights)))
        inside += found.low <= truth <= found.high
    assert 0.90 <= inside / 200 <= 0.99


def test_chance_is_as_rare_as_its_p_value_says() -> None:
    rng = np.random.default_rng(6)
    counts = []
    for _ in range(300):
        labels, assignments = rng.integers(0, 4, (2, 60))
        rows = np.stack([labels, *(rng.permutation(labels) for _ in range(39))])
        cells = 16 * np.arange(40)[:, None] + 4 * rows + assignments
        counts.append(np.bincount(cells.ravel(), minlength=16 * 40).reshape(40, 16))
    tables = JointTables(*np.divmod(np.arange(16), 4), np.concatenate(counts).T)
    scores = METRICS["ari"](tables).reshape(300, 40)
    assert scores[-1, -1] == METRICS["ari"](JointTables.of(rows[-1], assignments))[0]
    p_values = [permutation_p_value(own[0], own[1:]) for own in scores]
    for a in (0.05, 0.1, 0.5):
        error = 3 * (a * (1 - a) / 300) ** 0.5
        assert a - error - 0.03 <= np.mean(np.array(p_values) <= a) <= a + error
