"""How far the probabilities of a head of several labels can be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyze.head.calibration import Calibration, bin_answers, cover, expected_error
from analyze.head.multilabel.answers import Answers, sureness
from analyze.head.multilabel.thresholds import sigmoid
from analyze.head.report import HeadRun


def calibrate_several(
    answers: Answers, has: np.ndarray, runs: Sequence[HeadRun], temperatures: Sequence[float]
) -> Calibration:
    """Hold every answer, a picture and a class, against the truth; and whole sets for coverage.

    Parameters
    ----------
    answers : Answers
        Of the head.
    has : ndarray of shape (n_images, n_classes), bool
    runs : sequence of HeadRun
    temperatures : sequence of float
        Of each run.
    """
    warm, cold, yes, sure, right = [], [], [], [], []
    for run, temperature in zip(runs, temperatures, strict=True):
        place, rows = run.place, run.split.test
        probabilities = answers.probabilities[place, rows].astype(np.float64)
        (taught,) = run.trained.head.classes
        own = probabilities[:, taught]
        warm.append(own.ravel())
        cold.append(sigmoid(temperature * _logit(own)).ravel())
        yes.append(has[np.ix_(rows, taught)].ravel())
        said = answers.said[place, rows]
        sure.append(sureness(own, said[:, taught]))
        right.append((said == has[rows]).all(axis=1))
    truth = np.concatenate(yes)
    bins = bin_answers(np.concatenate(warm), truth)
    return Calibration(
        temperature=float(np.exp(np.mean(np.log(temperatures)))),
        ece=expected_error(bins),
        ece_before=expected_error(bin_answers(np.concatenate(cold), truth)),
        bins=bins,
        coverage=cover(np.concatenate(sure), np.concatenate(right)),
    )


def _logit(probabilities: np.ndarray) -> np.ndarray:
    inside = np.clip(probabilities, 1e-7, 1 - 1e-7)
    logits: np.ndarray = np.log(inside / (1 - inside))
    return logits
