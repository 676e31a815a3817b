"""JSON from files of others: what Python's own reader would let through is refused."""

from __future__ import annotations

import json
import math
from typing import Any

MOST_NESTED = 32


def read_json(text: str | bytes) -> Any:
    """Read JSON as the standard has it; no NaN, no number beyond a float, no tower of brackets.

    What is read can be spelled as JSON again, and walked through without running out of stack.

    Raises
    ------
    ValueError
        With what is wrong, in one line.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    if _deeper_than(value, MOST_NESTED):
        raise ValueError("JSON nested too deeply")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON with the number {constant}")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("JSON with a number beyond all floats")
    return number


def _deeper_than(value: Any, most: int) -> bool:
    """Go down level by level: a recursion would end as what it looks for."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
