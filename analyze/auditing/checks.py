"""The checks of an audit: one entry for each kind of finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analyze.auditing.checks_of_copies import find_copies, find_placeholders, find_variants
from analyze.auditing.checks_of_labels import (
    find_ambiguous,
    find_class_outliers,
    find_label_errors,
    find_outliers,
    find_spellings,
)
from analyze.auditing.checks_of_pictures import (
    find_blank,
    find_blurred,
    find_dark,
    find_odd_aspects,
    find_overexposed,
    find_seen_in_part,
    find_tiny,
)
from analyze.auditing.findings import RELABEL, REMOVE, REPLACE, REVIEW, Scored
from analyze.auditing.measurements import Measurements

PICTURES, LABELS = "pictures", "labels"


@dataclass(frozen=True)
class Check:
    """One kind of finding.

    Parameters
    ----------
    name : str
        In tables, and what a threshold is given for.
    title : str
        For people.
    action : str
        Suggested: one of :data:`analyze.auditing.findings.ACTIONS`.
    find : callable
        Measurements -> Scored.
    unit : str
        What its score is.
    needs : str, optional
        ``pictures`` or ``labels``, without which it finds nothing.
    is_bound : bool
        Whether a decision stands and falls with its evidence, as a copy with the one to keep.
    """

    name: str
    title: str
    action: str
    find: Callable[[Measurements], Scored]
    unit: str
    needs: str | None = None
    is_bound: bool = False

    def may_look(self, measured: Measurements) -> bool:
        """Say whether what it needs is there."""
        there = {PICTURES: measured.pictures is not None, LABELS: measured.labels is not None}
        return self.needs is None or there[self.needs]


CHECKS = (
    Check(
        "copy", "copies", REMOVE, find_copies, "nearness, 1 where no byte differs", is_bound=True
    ),
    Check("variant", "variants", REVIEW, find_variants, "share of the edges that agree", PICTURES),
    Check("placeholder", "placeholders", REPLACE, find_placeholders, "products, by their spread"),
    Check("blank", "blank", REPLACE, find_blank, "1 less the range of levels", PICTURES),
    Check("blurred", "blurred", REPLACE, find_blurred, "width of edges in pixels", PICTURES),
    Check("dark", "dark", REPLACE, find_dark, "1 less the brightest level", PICTURES),
    Check("overexposed", "overexposed", REPLACE, find_overexposed, "share of light lost", PICTURES),
    Check("tiny", "tiny", REPLACE, find_tiny, "times smaller than what is enough", PICTURES),
    Check("odd_aspect", "odd in aspect", REVIEW, find_odd_aspects, "longer by shorter", PICTURES),
    Check("seen_in_part", "seen in part", REVIEW, find_seen_in_part, "share not seen", PICTURES),
    Check("outlier", "outliers", REVIEW, find_outliers, "modified z-score"),
    Check(
        "outlier_in_class",
        "outliers in their class",
        REVIEW,
        find_class_outliers,
        "modified z-score",
        LABELS,
    ),
    Check("label_error", "likely label errors", RELABEL, find_label_errors, "0 to 1", LABELS),
    Check("ambiguous", "ambiguous", REVIEW, find_ambiguous, "1 less the margin", LABELS),
    Check("label_spelling", "labels spelled alike", RELABEL, find_spellings, "1", LABELS),
)
"""In the order in which they are shown."""

BY_NAME = {check.name: check for check in CHECKS}
