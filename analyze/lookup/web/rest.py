"""REST: the same answers as the command's ``--json``, and an OpenAPI document of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import FormData, UploadFile

from analyze.lookup.http.errors import Declined
from analyze.lookup.http.parameters import (
    LIMITS,
    LONGEST,
    Pairs,
    check_names,
    pairs_of,
    read_search,
)
from analyze.lookup.service.served_catalog import SearchResult
from analyze.lookup.service.service import Service

PARAMETERS = ("model", "top", "where", "diverse")
IMAGE = "image"
MOST_FIELD_BYTES = 4 * LONGEST


class Hit(BaseModel):
    """One of the most similar products."""

    model_config = ConfigDict(extra="allow")
    rank: int
    id: str
    name: str | None
    similarity: float
    labels: dict[str, str | None]
    copies: list[str]


class Found(BaseModel):
    """The hits of one query, best first."""

    model_config = ConfigDict(extra="allow")
    query: str
    by: str
    hits: list[Hit]


class Answers(BaseModel):
    """What ``python -m analyze similar --json`` prints."""

    model_config = ConfigDict(extra="allow")
    file: str
    model: str
    index: str
    recall_at_10: float
    queries: list[Found]


class Error(BaseModel):
    """Why a request is not answered."""

    error: str
    code: str


class Health(BaseModel):
    """What is served."""

    model_config = ConfigDict(extra="allow")
    status: str
    files: list[dict[str, Any]]


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    descriptions = {
        400: "Not HTTP, or no form, as it should be",
        401: "Without the token",
        403: "From another site's page",
        404: "Nothing of that id or backbone",
        408: "The request came too slowly",
        413: "Too large",
        415: "The body is no form",
        421: "For another host",
        431: "More than 16 KB before the body, the address included",
        422: "A parameter that cannot be, or a picture that is refused",
        503: "Too many requests at once, or pictures cannot be sent for the moment",
    }
    always = (400, 401, 421, 431)
    return {
        status: {"model": Error, "description": descriptions[status]}
        for status in (*always, *statuses)
    }


IMAGE_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [IMAGE],
                    "properties": {
                        IMAGE: {"type": "string", "format": "binary"},
                        **{name: LIMITS[name].schema() for name in PARAMETERS},
                    },
                }
            }
        },
    }
}

BY_ID = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": LIMITS[name].required,
            "description": LIMITS[name].description,
            "schema": LIMITS[name].schema(),
        }
        for name in ("id", *PARAMETERS)
    ]
}


def routes(service: Service) -> APIRouter:
    """Make the routes under ``/api``."""
    router = APIRouter(prefix="/api", tags=["look-alikes"])

    @router.get(
        "/similar",
        response_model=Answers,
        responses=_errors(404, 422, 503),
        openapi_extra=BY_ID,
        name="similar to products",
    )
    async def similar_to_products(request: Request) -> Response:
        """Find the products most similar to some of the catalogue."""
        search = read_search(pairs_of(request.scope["query_string"]), ("id", *PARAMETERS))
        if not search.ids:
            raise Declined(422, "name a product, by its id")
        return await service.look_up(search, _spelled)

    @router.post(
        "/similar",
        response_model=Answers,
        responses=_errors(403, 404, 408, 413, 415, 422, 503),
        openapi_extra=IMAGE_FORM,
        name="similar to a picture",
    )
    async def similar_to_picture(request: Request) -> Response:
        """Find the products most similar to a picture that is sent."""
        content, pairs = await read_form(request)
        search = read_search(pairs, PARAMETERS)
        return await service.look_up_picture(content, search, _spelled)

    @router.get("/health", response_model=Health, responses=_errors(422))
    async def health(request: Request) -> Response:
        """Report that the service runs, and what it serves."""
        check_names(pairs_of(request.scope["query_string"]), ())
        files = []
        for key, catalog in service.catalogs.items():
            status = service.status(catalog)
            how = {"uploads": status.uploads, "uploads_reason": status.reason}
            files.append(
                {"key": key, **catalog.about(), **how, "changed": service.changed(catalog)}
            )
        return as_json({"status": "ok", "files": files})

    return router


def _spelled(result: SearchResult) -> Response:
    return as_json(result.json())


async def read_form(request: Request) -> tuple[bytes, Pairs]:
    """Read a picture that is sent, and its parameters, in the form or in the URL.

    Raises
    ------
    Declined
        415 where it is no form; 422 where there is not one picture in it.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Declined(415, f"send the picture as a form, multipart/form-data, as {IMAGE}")
    form: FormData = await request.form(max_files=1, max_fields=64, max_part_size=MOST_FIELD_BYTES)
    try:
        sent = form.getlist(IMAGE)
        if len(sent) != 1 or not isinstance(sent[0], UploadFile):
            raise Declined(422, f"send one picture, as a file, as {IMAGE}", "no_picture")
        content = await sent[0].read()
        pairs = [
            (name, value)
            for name, value in form.multi_items()
            if name != IMAGE and isinstance(value, str)
        ]
        if any(isinstance(v, UploadFile) for name, v in form.multi_items() if name != IMAGE):
            raise Declined(422, f"send one picture, as a file, as {IMAGE}", "no_picture")
    finally:
        await form.close()
    if not content:
        raise Declined(422, "no picture was chosen: choose one and send it", "no_picture")
    return content, [*pairs, *pairs_of(request.scope["query_string"])]


def as_json(
    found: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Spell JSON as the command does: an id may hold what is no text."""
    text = json.dumps(found, allow_nan=False)
    return Response(text, status, headers=dict(headers or {}), media_type="application/json")
