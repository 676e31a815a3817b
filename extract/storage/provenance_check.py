"""What a file states of its rows, checked where a wrong value would do harm far from the file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from extract.ids import bytes_of
from extract.refusals import SOUND
from extract.storage.embeddings import Provenance

MOST_EXECUTION_CONFIGS = 256
"""A row holds the number of its own in one byte."""

MOST_BATCH_SIZE, MOST_THREADS = 1 << 16, 1 << 12
MOST_SEED = 2**32 - 1


def refuse_unusable(provenance: Provenance) -> None:
    """Refuse an identity or execution configs that a resume or a query could not compute by.

    Raises
    ------
    ValueError
    """
    identity, execution_configs = provenance.identity, provenance.execution_configs
    if not isinstance(identity.get("geometry", {}), Mapping):
        raise ValueError("its identity's geometry is no mapping")
    _refuse_beyond("seed", identity.get("weights", {}).get("seed"), 0, MOST_SEED)
    if not 1 <= len(execution_configs) <= MOST_EXECUTION_CONFIGS:
        raise ValueError(
            f"it has {len(execution_configs)} execution configs, not 1 to {MOST_EXECUTION_CONFIGS}"
        )
    for execution_config in execution_configs:
        _refuse_beyond("batch_size", execution_config.get("batch_size"), 1, MOST_BATCH_SIZE)
        _refuse_beyond("threads", execution_config.get("threads"), 1, MOST_THREADS)


def _refuse_beyond(name: str, value: object, least: int, most: int) -> None:
    if value is not None and not (type(value) is int and least <= value <= most):
        raise ValueError(f"its {name} is no whole number from {least} to {most}")


def refuse_odd_ids(ids: Sequence[str]) -> None:
    """Refuse ids that are not unique and sorted by their bytes, or hold NUL.

    Raises
    ------
    ValueError
    """
    raw = [bytes_of(row_id) for row_id in ids]
    if any(a >= b for a, b in itertools.pairwise(raw)):
        raise ValueError("its ids are not unique and sorted by their bytes")
    if any(b"\0" in r for r in raw):
        raise ValueError("one of its ids holds a NUL byte")


def refuse_unknown_execution_configs(
    provenance: Provenance, status: np.ndarray, execution_config: np.ndarray
) -> None:
    """Refuse sound rows with an execution config that the file does not list.

    Raises
    ------
    ValueError
    """
    count = len(provenance.execution_configs)
    if (execution_config[status == SOUND] >= count).any():
        raise ValueError(f"a row's execution config is not one of the {count} that it lists")
