"""What a split that knows nothing of copies would have leaked into its test set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.pictures.near_duplicates import NEAR_COSINE, Copies


def count_leaks(
    copies: Copies, naive: Sequence[tuple[np.ndarray, np.ndarray]]
) -> dict[str, int | float]:
    """Count pictures that naive splits would test with a copy of them among the training pictures.

    Parameters
    ----------
    copies : Copies
    naive : sequence of (training, test) row numbers
        Of splits that know nothing of copies.

    Returns
    -------
    dict
        ``byte_identical`` and ``near_identical``: pictures leaked by at least one of the splits,
        each counted once; ``pictures``: their sum; ``groups``: of copies there are; ``cosine``.
    """
    n = len(copies.groups)
    by_bytes, at_all = np.zeros(n, bool), np.zeros(n, bool)
    for train, test in naive:
        by_bytes[test] |= np.isin(copies.by_bytes[test], copies.by_bytes[train])
        at_all[test] |= np.isin(copies.groups[test], copies.groups[train])
    sizes = np.bincount(copies.groups)
    return {
        "byte_identical": int(by_bytes.sum()),
        "near_identical": int((at_all & ~by_bytes).sum()),
        "pictures": int((at_all | by_bytes).sum()),
        "groups": int((sizes > 1).sum()),
        "cosine": NEAR_COSINE,
    }


def leak_note(leaks: dict[str, Any]) -> tuple[str, ...]:
    """Warn of what a naive split would have leaked; nothing where that is nothing."""
    if not leaks["pictures"]:
        return ()
    return (
        f"a split that knows nothing of copies would have tested {leaks['pictures']} pictures with "
        f"a copy of them in the training set ({leaks['byte_identical']} byte-identical, "
        f"{leaks['near_identical']} near-identical, variants among them): copies are kept on one "
        "side",
    )
