"""The service as an ASGI application: request guard, REST, pages, and one form of errors."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
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
from analyze.lookup.http.request_guard import App, RequestGuard, Rules, Scope
from analyze.lookup.service.service import Service
from analyze.lookup.web import pages, rest, static_files
from analyze.lookup.web.rest import as_json
from analyze.lookup.web.titles import Titles
from extract import __version__
from extract.ids import shown

log = logging.getLogger("sosie")


def build_app(service: Service, rules: Rules, titles: Titles | None = None) -> App:
    """Build the ASGI application of a service.

    Parameters
    ----------
    service : Service
    rules : Rules
        Which requests it answers, and within which bounds.
    titles : Titles, optional
        Titles of the levels on pages.
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
    # in one list, so that all methods of a path can be found
    routers = rest.routes(service), pages.routes(shown_pages), static_files.routes()
    app.router.routes.extend(route for router in routers for route in router.routes)

    def respond(scope: Scope, declined: Declined) -> Response:
        if _wants_page(scope):
            return shown_pages.error(declined)
        return as_json(declined.body(), declined.status, declined.headers())

    _handle_errors(app, respond)
    return RequestGuard(app, rules, respond)


def _handle_errors(app: FastAPI, respond: Callable[[Scope, Declined], Response]) -> None:
    """Answer whatever goes wrong by ``respond``, with its status."""

    async def on_declined(request: Request, error: Exception) -> Response:
        assert isinstance(error, Declined)
        return respond(request.scope, error)

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        allowed = _methods(app, request.scope) if error.status_code == 405 else None
        return respond(
            request.scope, Declined(error.status_code, _http_words(error), allowed=allowed)
        )

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return respond(request.scope, Declined(422, _what_is_wrong(error)))

    async def on_unreadable(request: Request, _error: Exception) -> Response:
        return await on_http_error(request, HTTPException(400))

    async def on_disconnect(request: Request, _error: Exception) -> Response:
        return respond(request.scope, Declined(400, "the request ended before it was complete"))

    async def on_failure(request: Request, error: Exception) -> Response:
        what = f"unexpected {type(error).__name__}: {shown(str(error))[:300]}"
        log.error("%s: %s; serve with -vv for the traceback", shown(request.url.path)[:200], what)
        return respond(request.scope, Declined(500, "something went wrong here: see the log"))

    app.add_exception_handler(Declined, on_declined)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(FormParserError, on_unreadable)  # passed on by Starlette before 1.9
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(Exception, on_failure)


def _methods(app: FastAPI, scope: Scope) -> str:
    """List the methods that a path knows, whichever of its routes knows them."""
    fitting = [route for route in app.routes if route.matches(scope)[0] is not Match.NONE]
    return ", ".join(
        sorted({m for route in fitting for m in getattr(route, "methods", None) or ()})
    )


def _wants_page(scope: Scope) -> bool:
    """Return whether a browser requests a page: not a program, and not a picture of a page."""
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
