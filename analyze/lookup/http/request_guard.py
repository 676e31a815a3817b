"""Checks and bounds of every request before it is read: host, token, origin, size, time."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from analyze.lookup.http.errors import Declined
from extract.ids import shown

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Respond = Callable[[Scope, Declined], App]

log = logging.getLogger("sosie")

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
MOST_BODY = 20_000_000
"""Bytes of a request."""

BODY_SECONDS = 30
"""In which a body must have come."""

SENDING_SECONDS = 30
"""In which a client must take the next part of its answer."""

LINGERING_SECONDS = 2
"""For which what is sent after a refusal is read, and thrown away."""

TOKEN = "sosie_token"
READING = ("GET", "HEAD")
EFFECTLESS = (*READING, "OPTIONS")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
PORT = re.compile(r":\d{0,5}\Z")


@dataclass(frozen=True)
class Rules:
    """Which requests the service answers.

    Parameters
    ----------
    names : frozenset of str
        Hosts that it is called by; a name that is none of these may be another site's, bound to
        this address (DNS rebinding).
    token : str, optional
        What a client must have, where others than this machine can reach the service.
    most_body : int
        Bytes of a request.
    body_seconds, sending_seconds : float
    """

    names: frozenset[str] = LOOPBACK
    token: str | None = field(default=None, repr=False)
    most_body: int = MOST_BODY
    body_seconds: float = BODY_SECONDS
    sending_seconds: float = SENDING_SECONDS

    def check_host(self, scope: Scope) -> None:
        """Refuse a request meant for another host."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or PORT.sub("", hosts[0]).lower() not in self.names:
            named = " and ".join(map(shown, hosts)) or "no host"
            raise Declined(421, f"this is not {named[:100]}: it answers to {_listed(self.names)}")

    def check_origin(self, scope: Scope) -> None:
        """Refuse what another site's page sends: only our own, or no page at all, may."""
        if scope["method"] in EFFECTLESS:
            return
        origins, host = _values(scope, b"origin"), _values(scope, b"host")[0]
        # a page in front of us may have spoken TLS with the client
        ours = {f"{scheme}://{host}".lower() for scheme in ("http", "https")}
        sites = _values(scope, b"sec-fetch-site")
        if any(each.lower() not in ours for each in origins) or "cross-site" in sites:
            raise Declined(403, "another site's page sent this: send it from this service's own")

    def check_size(self, scope: Scope) -> None:
        """Refuse a body with too large a content-length, before any of it is read."""
        for value in _values(scope, b"content-length"):
            if not value.isascii() or not value.isdigit():
                raise Declined(400, "its content-length is no number")
            if int(value) > self.most_body:
                raise self.too_large()

    def too_large(self) -> Declined:
        """Make the refusal of a body over the limit."""
        return Declined(413, f"send at most {self.most_body // 10**6} MB")

    def knows(self, token: str | None) -> bool:
        """Return whether this is the token; the time it takes reveals nothing of it."""
        return self.token is None or (
            token is not None and hmac.compare_digest(token.encode("utf-8", "replace"), self._bytes)
        )

    @property
    def _bytes(self) -> bytes:
        return (self.token or "").encode()


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


class RequestGuard:
    """ASGI middleware that checks and bounds each request and adds the security headers.

    Parameters
    ----------
    app : callable
        ASGI.
    rules : Rules
    respond : callable
        (scope, what is declined) -> the ASGI response that reports it.
    """

    def __init__(self, app: App, rules: Rules, respond: Respond) -> None:
        self._app, self._rules, self._respond = app, rules, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._rules, scope, receive, send)
        watching = asyncio.create_task(exchange.watch(asyncio.current_task()))
        try:
            answer = self._answering(scope)
            await answer(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if not exchange.gone:
                raise
        finally:
            watching.cancel()
            log.debug("%s", _line(scope, exchange))

    def _answering(self, scope: Scope) -> App:
        rules = self._rules
        try:
            rules.check_host(scope)
            entered = self._entered(scope)
            rules.check_origin(scope)
            rules.check_size(scope)
        except Declined as declined:
            return self._respond(scope, declined)
        return entered or self._app

    def _entered(self, scope: Scope) -> App | None:
        """Refuse a client without the token; move that of a link from the URL into a cookie."""
        if self._rules.token is None:
            return None
        bearer = next(iter(_values(scope, b"authorization")), "").partition("Bearer ")[2]
        if self._rules.knows(bearer or _cookie(scope)):
            return None
        given = parse_qsl(scope["query_string"].decode("latin-1"))
        if scope["method"] == "GET" and self._rules.knows(dict(given).get("token")):
            rest = urlencode([(name, value) for name, value in given if name != "token"])
            return _redirect(f"{scope['path']}?{rest}".rstrip("?"), self._rules.token)
        raise Declined(401, "open the link with its token, as the service printed it")


def _cookie(scope: Scope) -> str | None:
    try:
        found = SimpleCookie("; ".join(_values(scope, b"cookie"))).get(TOKEN)
    except CookieError:
        return None
    return found.value if found else None


def _redirect(place: str, token: str) -> App:
    # a path with two slashes before it would be another host
    to = "/" + urlsplit(place)._replace(scheme="", netloc="").geturl().lstrip("/")
    cookie = f"{TOKEN}={token}; Path=/; HttpOnly; SameSite=Strict"

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        location = to.encode("ascii", "ignore")
        headers = [(b"location", location), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return answer


class _Exchange:
    """One request as it comes in and its answer as it goes out, both within their bounds."""

    def __init__(self, rules: Rules, scope: Scope, receive: Receive, send: Send) -> None:
        self._rules, self._receive, self._send = rules, receive, send
        self._waits = bool(_values(scope, b"expect"))  # for leave to send its body
        self._read = 0
        self._until: float | None = None
        self._ended = asyncio.Event()
        sizes = (b"content-length", b"transfer-encoding")
        sized = any(_values(scope, name) for name in sizes)
        self._bodiless = scope["method"] in READING and not sized
        if self._bodiless:
            self._ended.set()
        self._answered = False
        self.gone = False
        self.began = time.monotonic()
        self.status: int | None = None

    async def watch(self, answering: asyncio.Task[None] | None) -> None:
        """Give up an answer when the client hangs up while it is made: its place is free."""
        await self._ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if answering is not None and not self._answered:
            self.gone = True
            answering.cancel()

    async def receive(self) -> Message:
        """Take the next part of the body; too many bytes or too much time are declined."""
        if self._ended.is_set():
            if self._bodiless:
                self._bodiless = False
                return {"type": "http.request", "body": b"", "more_body": False}
            return await self._receive()  # only whether the client is still there
        loop = asyncio.get_running_loop()
        self._until = self._until or loop.time() + self._rules.body_seconds
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise Declined(408, "the request took too long to come") from None
        self._read += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._ended.set()
        if self._read > self._rules.most_body:
            raise self._rules.too_large()
        return message

    async def send(self, message: Message) -> None:
        """Send the next part of the answer, with the headers that keep a browser safe."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *HEADERS]
            named = {name.lower() for name, _ in headers}
            if b"cache-control" not in named:
                headers.append((b"cache-control", b"no-store"))
            if self.status in (408, 413):  # what is left of the body is not read
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        self._answered = self._answered or last
        async with asyncio.timeout(self._rules.sending_seconds):
            if last and self.status == 413:
                await self._send({**message, "more_body": True})
                await self._linger()
                message = {"type": "http.response.body", "body": b""}
            await self._send(message)

    async def _linger(self) -> None:
        """Let what is sent run dry for a moment, so that the answer is read.

        A connection that is closed on a client in the middle of sending looks to it like a fault.
        """
        if self._waits:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGERING_SECONDS):
                while (await self._receive()).get("more_body", False):
                    pass


def _line(scope: Scope, exchange: _Exchange) -> str:
    """Format the log line of a request and its response; one line, whatever was sent."""
    query = scope["query_string"].decode("latin-1")
    if "token=" in query:
        query = "..."
    requested = shown(f"{scope['path']}?{query}".rstrip("?"))[:200]
    spent = (time.monotonic() - exchange.began) * 1000
    return f"{scope['method']} {requested} {exchange.status or '-'} {spent:.0f} ms"
