"""Labels are judged by other products alone, and by a regression where there are many too."""

from __future__ import annotations

import numpy as np
import pytest

from analyze.auditing import label_errors
from analyze.auditing.findings import Reason
from analyze.auditing.label_errors import score_labels
from analyze.auditing.nearest import find_nearest
from analyze.measures import probes
from extract.catalog.catalog import Level


def test_share_of_a_cluster_counts_no_picture_of_the_same_product() -> None:
    rng = np.random.default_rng(0)
    codes, groups = rng.integers(-1, 3, 60), rng.integers(0, 20, 60)
    assigned = rng.integers(0, 4, 60)
    own = label_errors._own(assigned, groups, codes, 3)
    for row in range(60):
        mine = (assigned == assigned[row]) & (groups == groups[row])
        assert own[row].tolist() == [(mine & (codes == code)).sum() for code in range(3)]


def test_each_class_is_among_the_pictures_that_are_drawn() -> None:
    labels = np.repeat([4, 0, 7], [8, 900, 30])
    drawn = probes._drawn(labels, 100, seed=0)
    assert len(np.unique(drawn)) == len(drawn)
    assert 100 <= len(drawn) <= 100 + 8 + 20
    counts = dict(zip(*np.unique(labels[drawn], return_counts=True), strict=True))
    assert counts[4] == 8
    assert counts[7] >= probes.LEAST_OF_CLASS


def planted() -> tuple[np.ndarray, Level, np.ndarray]:
    """Vectors of four classes, one of eight pictures, a twentieth of the labels wrong."""
    rng = np.random.default_rng(0)
    codes = np.r_[np.full(8, 3), rng.integers(0, 3, 392)]
    vectors = rng.normal(size=(4, 24))[codes] + 1.3 * rng.normal(size=(400, 24))
    wrong = rng.choice(np.arange(8, 400), 20, replace=False)
    codes[wrong] = (codes[wrong] + rng.integers(1, 3, 20)) % 3
    return vectors.astype(np.float32), Level("kind", tuple("abcd"), codes), wrong


def test_many_labels_are_judged_by_a_regression_on_some_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, level, wrong = planted()
    nearest, groups = find_nearest(vectors, np.arange(400)), np.arange(400)
    hits = {}
    for name, most_trained, most_numbers in (("some", 120, 1 << 27), ("none", 120, 0)):
        monkeypatch.setattr(label_errors, "MOST_TRAINED", most_trained)
        monkeypatch.setattr(label_errors, "MOST_NUMBERS", most_numbers)
        judged = score_labels(vectors, level, nearest, groups)
        assert judged is not None
        assert (Reason.of("regression") in judged.sources) == (name == "some")
        assert Reason.of("clusters") not in judged.sources
        hits[name] = np.isin(np.argsort(-judged.uncertainty)[:20], wrong).sum()
    assert hits["some"] >= hits["none"]
    assert hits["some"] >= 17
