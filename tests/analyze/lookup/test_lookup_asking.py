"""The OpenAPI document of the look-alike service and its checks say the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from fastapi import FastAPI

from analyze.lookup.http.errors import Declined
from analyze.lookup.http.parameters import LIMITS, MOST_PARAMETERS, Pairs, read_search
from analyze.lookup.service.service import Service
from analyze.lookup.web.rest import IMAGE, PARAMETERS, routes


@pytest.fixture(scope="module")
def described() -> dict[str, dict[str, Any]]:
    """Give the schema of each parameter by id and by picture, as the document has it."""
    app = FastAPI()
    app.include_router(routes(cast(Service, None)))
    path = app.openapi()["paths"]["/api/similar"]
    by_id = {each["name"]: each["schema"] for each in path["get"]["parameters"]}
    form = path["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    return {"get": by_id, "post": {name: form[name] for name in form if name != IMAGE}}


def of_one(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give a value at each bound of a value, and one beyond it."""
    step = 1 if schema["type"] == "integer" else 1e-9
    if "maxLength" in schema:
        yield "é" * schema["maxLength"], "é" * (schema["maxLength"] + 1)
    if "minimum" in schema:
        yield str(schema["minimum"]), str(schema["minimum"] - step)
    if "maximum" in schema:
        yield str(schema["maximum"]), str(schema["maximum"] + step)


def bounds(name: str, schema: dict[str, Any]) -> Iterator[tuple[Pairs, Pairs]]:
    for at, beyond in of_one(schema.get("items", schema)):
        yield [(name, at)], [(name, beyond)]
    times = schema["maxItems"] if schema["type"] == "array" else 1
    some = "0.5" if name == "diverse" else "1"
    yield [(name, some)] * times, [(name, some)] * (times + 1)


@pytest.mark.parametrize("method", ["get", "post"])
def test_every_bound_of_the_document_is_where_the_checks_have_theirs(
    described: dict[str, dict[str, Any]], method: str
) -> None:
    allowed = ("id", *PARAMETERS) if method == "get" else PARAMETERS
    assert set(described[method]) == set(allowed)
    n_bounds = 0
    for name, schema in described[method].items():
        for at, beyond in bounds(name, schema):
            read_search(at, allowed)
            with pytest.raises(Declined) as declined:
                read_search(beyond, allowed)
            assert (declined.value.status, name in declined.value.message) == (422, True)
            n_bounds += 1
    assert n_bounds >= 10 - 2 * (method == "post")


def test_all_that_the_document_allows_at_once_is_taken() -> None:
    most = [(name, "1") for name, limits in LIMITS.items() for _ in range(limits.times)]
    assert len(most) < MOST_PARAMETERS
    asked = read_search(most, tuple(LIMITS))
    assert (len(asked.ids), len(asked.where)) == (16, 32)
