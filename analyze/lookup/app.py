"""The service as an ASGI application: gate, REST, pages, and errors in one voice."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from python_multipart.exceptions import FormParserError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from analyze.lookup.http.errors import Declined
from analyze.lookup.http.request_guard import App, Gate, Rules, Scope
from analyze.lookup.service.service import Service
from analyze.lookup.web import pages, rest, static_files
from analyze.lookup.web.rest import as_json
from analyze.lookup.web.titles import Titles
from extract import __version__
from extract.ids import shown

log = logging.getLogger("sosie")


def build_app(service: Service, rules: Rules, titles: Titles | None = None) -> App:
    """Put the service together.

    Parameters
    ----------
    service : Service
    rules : Rules
        Whom it answers, and within which bounds.
    titles : Titles, optional
        What pages call the levels.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.load_backbones()
        service.follow_files()
        yield
        service.close()

    app = FastAPI(
        title="Sosie",
        version=__version__,
        description="Which products of a catalogue look alike.",
        docs_url=None,  # they would fetch scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    shown_pages = pages.Pages(service, titles)
    # side by side, so that a path can be asked for all of its methods
    routers = rest.routes(service), pages.routes(shown_pages), static_files.routes()
    app.router.routes.extend(route for router in routers for route in router.routes)

    def say(scope: Scope, declined: Declined) -> Response:
        if _wants_page(scope):
            return shown_pages.error(declined)
        return as_json(declined.body(), declined.status, declined.headers())

    async def say_declined(request: Request, error: Exception) -> Response:
        assert isinstance(error, Declined)
        return say(request.scope, error)

    async def say_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        allowed = _methods(app, request.scope) if error.status_code == 405 else None
        return say(request.scope, Declined(error.status_code, _http_words(error), allowed=allowed))

    async def say_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return say(request.scope, Declined(422, _what_is_wrong(error)))

    async def say_unreadable(request: Request, _error: Exception) -> Response:
        return await say_http(request, HTTPException(400))

    async def say_gone(request: Request, _error: Exception) -> Response:
        return say(request.scope, Declined(400, "the request ended before it was whole"))

    async def say_failed(request: Request, error: Exception) -> Response:
        what = f"unexpected {type(error).__name__}: {shown(str(error))[:300]}"
        log.error("%s: %s; serve with -vv for the traceback", shown(request.url.path)[:200], what)
        return say(request.scope, Declined(500, "something went wrong here: the log says what"))

    app.add_exception_handler(Declined, say_declined)
    app.add_exception_handler(HTTPException, say_http)
    app.add_exception_handler(RequestValidationError, say_invalid)
    app.add_exception_handler(FormParserError, say_unreadable)  # passed on by Starlette before 1.9
    app.add_exception_handler(ClientDisconnect, say_gone)
    app.add_exception_handler(Exception, say_failed)
    return Gate(app, rules, say)


def _methods(app: FastAPI, scope: Scope) -> str:
    """List the methods that a path knows, whichever of its routes knows them."""
    fitting = [route for route in app.routes if route.matches(scope)[0] is not Match.NONE]
    return ", ".join(
        sorted({m for route in fitting for m in getattr(route, "methods", None) or ()})
    )


def _wants_page(scope: Scope) -> bool:
    """Say whether a person's browser asks for a page, and not a program, or a picture of one."""
    if scope["path"].startswith(("/api/", "/static/", "/picture")):
        return False
    accepted = [value for name, value in scope["headers"] if name == b"accept"]
    return any(b"text/html" in value for value in accepted)


def _http_words(error: HTTPException) -> str:
    words = {
        400: "the form cannot be read: send it again",
        404: "there is nothing here",
        405: "this cannot be done here",
    }
    return words.get(error.status_code, shown(str(error.detail))[:200])


def _what_is_wrong(error: RequestValidationError) -> str:
    first: dict[str, Any] = error.errors()[0]
    name = next((str(part) for part in first.get("loc", ())[1:] if isinstance(part, str)), "it")
    return f"{shown(name)[:100]}: {shown(str(first.get('msg', 'cannot be')))[:200]}"
