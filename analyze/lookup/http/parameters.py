"""Parameters of a request, read and checked by one rule for page and REST."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from analyze.lookup.http.errors import Declined
from analyze.neighbors.diversity import WEIGHT
from extract.ids import shown

TOP, MOST_TOP = 10, 100
LONGEST = 2_000
"""Letters of a parameter."""

MOST_PARAMETERS = 64


@dataclass(frozen=True)
class Limits:
    """Bounds of a parameter of REST, both as they are checked and for the OpenAPI document.

    Parameters
    ----------
    kind : str
        ``string``, ``integer`` or ``number``.
    least, most : int or None
        Of a number.
    times : int
        How often it may be given; what may be given more than once is an array.
    required : bool
    description : str
    """

    kind: str = "string"
    least: int | None = None
    most: int | None = None
    times: int = 1
    required: bool = False
    description: str = ""

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        bounds = {"maxLength": LONGEST if self.kind == "string" else None}
        bounds |= {"minimum": self.least, "maximum": self.most}
        each = {"type": self.kind, **{k: v for k, v in bounds.items() if v is not None}}
        if self.times == 1:
            return each
        least = {"minItems": 1} if self.required else {}
        return {"type": "array", "items": each, **least, "maxItems": self.times}

    def takes(self, number: float) -> bool:
        """Return whether a number is within its bounds."""
        return (self.least is None or number >= self.least) and (
            self.most is None or number <= self.most
        )


LIMITS = {
    "id": Limits(times=16, required=True, description="Ids of the products to search by."),
    "model": Limits(description="Key of the backbone's file."),
    "top": Limits("integer", 1, MOST_TOP, description=f"Hits a query; {TOP} by default."),
    "where": Limits(times=32, description="LEVEL=VALUE to search inside."),
    "diverse": Limits(
        "number", 0, 1, description="Weight of similarity against novelty; none by default."
    ),
}
ONCE = (
    *(name for name, limits in LIMITS.items() if limits.times == 1),
    *("seen", "q", "page", "map", "size"),
)

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class SearchRequest:
    """A search, as its parameters request it.

    Parameters
    ----------
    model : str or None
        Which file; None for the first.
    ids : tuple of str
        Products to search by.
    top : int
        Hits a query, 1 to 100.
    where : tuple of str
        ``LEVEL=VALUE`` each.
    diverse : float or None
        Weight of similarity against novelty, 0 to 1; None for similarity alone.
    seen : bool
        Whether pictures are shown as the model saw them.
    """

    model: str | None = None
    ids: tuple[str, ...] = ()
    top: int = TOP
    where: tuple[str, ...] = ()
    diverse: float | None = None
    seen: bool = False


def pairs_of(query_string: bytes) -> Pairs:
    """Parse a query string; an id may be bytes that are no UTF-8.

    Raises
    ------
    Declined
        422 when there are too many.
    """
    try:
        return parse_qsl(
            query_string.decode("latin-1"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise Declined(422, f"give at most {MOST_PARAMETERS} parameters") from None


def read_search(pairs: Pairs, allowed: Collection[str], *, top: int = TOP) -> SearchRequest:
    """Read a search from its parameters; empty ones, as forms send them, count as not given.

    Parameters
    ----------
    pairs : sequence of (str, str)
    allowed : collection of str
        Their names.
    top : int
        Where none is given.

    Raises
    ------
    Declined
        422 naming the parameter.
    """
    check_names(pairs, allowed)
    given = [(name, value) for name, value in pairs if value]
    where = tuple(value for name, value in given if name == "where")
    ids = tuple(value for name, value in given if name == "id")
    for name, values in (("id", ids), ("where", where)):
        if len(values) > LIMITS[name].times:
            raise Declined(422, f"{name} is given more than {LIMITS[name].times} times")
    once = {name: value for name, value in given if name in ONCE}
    return SearchRequest(
        once.get("model"),
        ids,
        whole_number(once.get("top"), "top", top, MOST_TOP),
        where,
        _weight(once.get("diverse")),
        _yes(once.get("seen"), "seen"),
    )


def check_names(pairs: Pairs, allowed: Collection[str]) -> None:
    """Refuse parameters that are none, are given twice, or are too long.

    Raises
    ------
    Declined
    """
    seen: set[str] = set()
    for name, value in pairs:
        if name not in allowed:
            have = ", ".join(sorted(allowed)) or "none"
            raise Declined(422, f"no parameter {shown(name)[:100]!r}: there are {have}")
        if name in ONCE and name in seen:
            raise Declined(422, f"{name} is given twice: give it once")
        if len(value) > LONGEST:
            raise Declined(422, f"{name} is longer than {LONGEST} letters")
        seen.add(name)


def whole_number(text: str | None, name: str, default: int, most: int) -> int:
    """Read a number from 1 on.

    Raises
    ------
    Declined
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise Declined(422, f"{name} is {shown(text)[:40]!r}: give a whole number from 1 to {most}")
    return int(text)


def _weight(text: str | None) -> float | None:
    """Read the weight of similarity against novelty; ``on``, as a form sends it, is the default."""
    if text is None:
        return None
    if text == "on":
        return WEIGHT
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not LIMITS["diverse"].takes(weight):
        raise Declined(422, f"diverse is {shown(text)[:40]!r}: give a number from 0 to 1")
    return weight


def _yes(text: str | None, name: str) -> bool:
    """Read a parameter that is 1 or left out."""
    if text not in (None, "1"):
        raise Declined(422, f"{name} is {shown(text)[:40]!r}: give 1, or leave it out")
    return text is not None


def address(path: str, parameters: Iterable[tuple[str, object]]) -> str:
    """Spell a link with parameters, those of None left out; an id's bytes are kept."""
    given = [(name, os.fsencode(str(value))) for name, value in parameters if value is not None]
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path
