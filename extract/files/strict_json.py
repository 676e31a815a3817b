"""JSON from files of others: what Python's own reader would let through is refused."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_NESTED = 32
CHECK_SUM = "json_sha256"
"""The key of an object's check sum, over all its other keys."""

HEX_DIGITS = 64


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


def with_check_sum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Add the check sum of a JSON object as its last key: what changes a value changes it.

    Order of the keys, blanks and spellings of a number (``1.0``, ``1``, ``1e0``) do not, so that a
    file that another program has written again with the same values still fits.
    """
    rest = json.loads(json.dumps({k: v for k, v in content.items() if k != CHECK_SUM}))
    return {**rest, CHECK_SUM: _check_sum(rest)}


def without_check_sum(content: Any) -> tuple[dict[str, Any], bool]:
    """Take the check sum off a JSON object, and whether there was one.

    Raises
    ------
    ValueError
        When it does not fit, its name alone was damaged, or there is no object.
    """
    if not isinstance(content, Mapping):
        raise ValueError("JSON that is no object")
    rest = {k: v for k, v in content.items() if k != CHECK_SUM}
    if CHECK_SUM in content and content[CHECK_SUM] != _check_sum(rest):
        raise ValueError(f"its content does not fit its check sum ({CHECK_SUM})")
    if CHECK_SUM not in content and any(_sums_up(content, name) for name in content):
        raise ValueError(f"the name of its check sum ({CHECK_SUM}) is damaged")
    return rest, CHECK_SUM in content


def later_version(path: Path, known: int) -> int | None:
    """Give the ``format_version`` of a file that a later version than the known one wrote.

    Returns
    -------
    int or None
        None for a file of a version that is known, and for one that is damaged, no plain file or
        not there.
    """
    try:  # a pipe would be waited for
        version = read_json(path.read_bytes())["format_version"] if path.is_file() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if type(version) is int and version > known else None


def _sums_up(content: Mapping[str, Any], name: str) -> bool:
    """Whether one value is the check sum of all others: it is one under another name."""
    value = content[name]
    if not isinstance(value, str) or len(value) != HEX_DIGITS:
        return False
    return value == _check_sum({k: v for k, v in content.items() if k != name})


def _check_sum(content: Mapping[str, Any]) -> str:
    spelled = json.dumps(_by_value(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(spelled.encode()).hexdigest()


def _by_value(value: Any) -> Any:
    """Make whole numbers integers: another program may have left the point of 1.0 out."""
    if isinstance(value, Mapping):
        return {k: _by_value(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_by_value(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
