"""Probabilities, temperatures, doubtful labels: planted truths, and formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analyze.head.reporting.calibration import (
    Calibration,
    bin_answers,
    calibrate,
    cover,
    expected_error,
)
from analyze.head.reporting.suspects import find_suspects
from analyze.head.training.probabilities import SOFTMAX, UNKNOWN, fit_temperature, softmax


def drawn_labels(probabilities: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw each row's class as its probabilities say."""
    random = np.random.default_rng(seed)
    return (random.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)).sum(axis=1)


@pytest.fixture
def true_logits() -> np.ndarray:
    return np.random.default_rng(1).normal(scale=1.5, size=(20_000, 5))


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_temperature_that_was_planted_is_found(true_logits: np.ndarray, planted: float) -> None:
    labels = drawn_labels(softmax(true_logits))
    assert fit_temperature(planted * true_logits, labels) == pytest.approx(planted, rel=0.05)


def test_temperature_stays_within_its_ends() -> None:
    logits = np.eye(3)[[0, 1, 2, 0]]
    assert fit_temperature(logits[[0] * 999], np.zeros(999, int)) > 0.05
    assert fit_temperature(logits, np.array([1, 2, 0, 1])) == pytest.approx(20, rel=0.01)
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1.0


def test_temperature_that_is_no_gain_on_other_pictures_is_not_taken(
    true_logits: np.ndarray,
) -> None:
    """Of calibrated logits tested probabilities get better by it, in the mean of many draws."""
    plain, chosen, n_cold = [], [], 0
    tested, truth = true_logits[10_000:], drawn_labels(softmax(true_logits), 1)[10_000:]
    for seed in range(20):
        logits = true_logits[30 * seed : 30 * seed + 30]
        labels = drawn_labels(softmax(logits), seed)
        temperature = SOFTMAX.choose_temperature(logits, labels)
        n_cold += temperature == 1.0
        assert temperature in (1.0, fit_temperature(logits, labels))
        plain.append(SOFTMAX.cross_entropy(tested / fit_temperature(logits, labels), truth))
        chosen.append(SOFTMAX.cross_entropy(tested / temperature, truth))
        assert SOFTMAX.choose_temperature(5 * logits, labels) > 2
    assert n_cold > 8
    assert np.mean(chosen) < np.mean(plain)
    assert SOFTMAX.choose_temperature(true_logits[:0], np.zeros(0, int)) == 1.0
    labels = np.r_[drawn_labels(softmax(true_logits[:900])), np.full(100, UNKNOWN)]
    one, other = (SOFTMAX.choose_temperature(3 * true_logits[:n], labels[:n]) for n in (900, 1000))
    assert one == pytest.approx(other, rel=1e-6) == pytest.approx(3, rel=0.2)


def test_few_pictures_that_are_all_right_leave_some_doubt() -> None:
    """The likeliest class gets 1 - 1 / (n + 2), however far its logit lies from the others."""
    for n, scale in ((8, 3.0), (40, 10.0)):
        labels = np.arange(n) % 4
        logits = scale * np.eye(4)[labels]
        sure = softmax(logits / fit_temperature(logits, labels)).max(axis=1)
        assert sure == pytest.approx(1 - 1 / (n + 2), abs=1e-3)


def test_calibration_error_is_its_formula() -> None:
    confidence = np.array([0.95, 0.97, 0.605, 0.62, 0.605, 1.0])
    right = np.array([True, False, True, True, False, True])
    bins = bin_answers(confidence, right)
    assert [each.n for each in bins] == [3, 3]
    assert [each.confidence for each in bins] == pytest.approx([0.61, 2.92 / 3])
    by_hand = (3 * abs(2 / 3 - 0.61) + 3 * abs(2 / 3 - 2.92 / 3)) / 6
    assert expected_error(bins) == pytest.approx(by_hand)
    edges = bin_answers(np.array([0.2, 0.2 + 1e-9]), np.array([True, True]))
    assert [(each.low, each.n) for each in edges] == [
        (pytest.approx(2 / 15), 1),
        (pytest.approx(3 / 15), 1),
    ]
    above = np.nextafter(np.ones(1), 2)  # what float rounding may make of a certainty
    assert bin_answers(above, np.array([True]))[0].high == 1


def test_right_probabilities_have_no_error_and_sharpened_ones_do(true_logits: np.ndarray) -> None:
    labels = drawn_labels(softmax(true_logits))

    def calibrated(logits: np.ndarray, temperature: float) -> Calibration:
        warm, cold = (softmax(each).max(axis=1) for each in (logits / temperature, logits))
        return calibrate([warm], [cold], [logits.argmax(axis=1) == labels], [temperature])

    right = calibrated(true_logits, 1.0)
    assert right.ece < 0.015
    assert right.ece == right.ece_before
    sharp = calibrated(3 * true_logits, 3.0)
    assert sharp.ece == pytest.approx(right.ece)
    assert sharp.ece_before > 0.15
    assert sharp.temperature == pytest.approx(3.0)


def test_coverage_falls_and_accuracy_is_of_what_is_answered() -> None:
    confidence = np.array([0.2, 0.55, 0.85, 0.96])
    found = {c.threshold: c for c in cover(confidence, np.array([False, True, False, True]))}
    assert (found[0.0].coverage, found[0.0].accuracy) == (1.0, 0.5)
    assert (found[0.5].coverage, found[0.5].accuracy) == (0.75, pytest.approx(2 / 3))
    assert (found[0.95].coverage, found[0.95].accuracy) == (0.25, 1.0)
    assert (found[0.99].coverage, found[0.99].accuracy) == (0.0, None)


def test_planted_wrong_labels_are_found() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 400)
    logits = random.normal(size=(400, 4))
    logits[np.arange(400), truth] += 5.0
    wrong = np.sort(random.choice(400, 12, replace=False))
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + 1) % 4
    ids = tuple(f"{i:03}" for i in range(400))
    found = find_suspects(softmax(logits), labels, ids, ("a", "b", "c", "d"))
    named = {suspect.id for suspect in found}
    assert len({ids[i] for i in wrong} & named) >= 11
    assert len(named) <= 16
    for suspect in found[:8]:
        i = int(suspect.id)
        assert (suspect.label, suspect.suggested) == ("abcd"[labels[i]], "abcd"[truth[i]])
    margins = [suspect.probability - suspect.probability_suggested for suspect in found]
    assert margins == sorted(margins)


def test_pictures_that_no_head_was_asked_about_are_never_suspect() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [np.nan, np.nan], [0.1, 0.9]])
    found = find_suspects(probabilities, np.array([0, 1, 1, 1]), ("a", "b", "c", "d"), ("x", "y"))
    assert [suspect.id for suspect in found] == ["b"]
