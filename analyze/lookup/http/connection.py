"""Connections of clients: their time-outs, their number, and requests that are no HTTP."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from analyze.lookup.http.errors import Declined
from analyze.lookup.http.request_guard import HEADERS, LINGERING_SECONDS

IDLE_SECONDS = 10.0
"""In which a client must have sent the head of a request, however it comes."""

MOST_CONNECTIONS, MOST_OF_AN_ADDRESS = 400, 300
"""Of all, and of one address: a proxy's clients have one, as have all on this machine."""

NETWORK_BITS = 64
"""Of an IPv6 address: one client has all that follow."""

MOST_HEAD_BYTES = 16 << 10
HEAD_ENDS = re.compile(rb"\n\r?\n")
WORDS = {
    431: f"the head of a request has at most {MOST_HEAD_BYTES:,} bytes",
    501: "a body comes chunked or with its length, in no other way",
    505: "this speaks HTTP/1.1 alone",
}


class Parser(h11.Connection):
    """HTTP/1.1, with a bound on the head of a request even where it comes in one piece.

    Parameters
    ----------
    most_head_bytes : int
    """

    def __init__(self, most_head_bytes: int) -> None:
        super().__init__(h11.SERVER, most_head_bytes)
        self._most = most_head_bytes
        self.refused_with = 400

    def next_event(self) -> Any:
        """Return the next event.

        Raises
        ------
        RemoteProtocolError
            When it is no HTTP, or too much of it.
        """
        try:
            if self.their_state is h11.IDLE:
                self._check_head(self.trailing_data[0])
            event = super().next_event()
            if isinstance(event, h11.Request):
                _check_request(event)
        except h11.RemoteProtocolError as error:
            self.refused_with = error.error_status_hint
            raise
        return event

    def _check_head(self, received: bytes) -> None:
        if len(received) > self._most and HEAD_ENDS.search(received, 0, self._most) is None:
            raise h11.RemoteProtocolError("too long a head", error_status_hint=431)


def _check_request(request: h11.Request) -> None:
    """Refuse what h11 lets pass: another HTTP, and a body of two sizes."""
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("another HTTP", error_status_hint=505)
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
        raise h11.RemoteProtocolError("two sizes")


class Connections:
    """All connections of a server, those first that have been idle for longest."""

    def __init__(self) -> None:
        self._all: dict[ClientConnection, None] = {}
        self._of_address: dict[str, dict[ClientConnection, None]] = {}

    def find_room(self, address: str) -> bool:
        """Drop an idle connection where there are too many; False where none is idle."""
        same = self._of_address.get(address, {})
        if len(same) >= MOST_OF_AN_ADDRESS:
            return _drop_one(same)
        return len(self._all) < MOST_CONNECTIONS or _drop_one(self._all)

    def add(self, each: ClientConnection) -> None:
        """Put a connection behind all others: it has been idle for the shortest time."""
        self.remove(each)
        self._all[each] = None
        self._of_address.setdefault(each.address, {})[each] = None

    def remove(self, each: ClientConnection) -> None:
        """Forget a connection."""
        self._all.pop(each, None)
        same = self._of_address.get(each.address, {})
        same.pop(each, None)
        if not same:
            self._of_address.pop(each.address, None)


def _drop_one(some: dict[ClientConnection, None]) -> bool:
    idle = next((each for each in some if each.idle), None)
    # a body that is still to come is not work yet, but more than nothing
    found = idle or next((each for each in some if each.cycle.more_body), None)
    if found is not None:
        found.drop()
    return found is not None


class ClientConnection(H11Protocol):
    """HTTP/1.1 that hangs up on a client that sends or receives nothing for too long.

    Of too many connections, the one that has sent no request for longest makes room.

    Parameters
    ----------
    connections : Connections
        Of the server.
    words, named
        As uvicorn gives them to its own.
    """

    idle_seconds = IDLE_SECONDS
    address = ""
    _answered = _answered_before = 0
    _stuck = _over = False
    _look_again: asyncio.TimerHandle | None = None

    def __init__(self, connections: Connections, *words: Any, **named: Any) -> None:
        super().__init__(*words, **named)
        self._connections = connections
        self.conn = Parser(MOST_HEAD_BYTES)

    @property
    def idle(self) -> bool:
        """Whether no request, or not the whole head of one, has come."""
        return self.cycle is None or self.cycle.response_complete

    def drop(self) -> None:
        """Hang up."""
        self._connections.remove(self)  # at once: more may come before it is gone
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client, in the place of an idle one where there are too many."""
        super().connection_made(transport)
        self.address = _network(self.client[0] if self.client else "")
        if not self._connections.find_room(self.address):
            transport.abort()
            return
        self._connections.add(self)
        self._look_again = self.loop.call_later(self.idle_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a client."""
        if self._look_again is not None:
            self._look_again.cancel()
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what a client sends; after what was no request it is thrown away."""
        if not self._over:
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Count what was answered."""
        self._answered += 1
        if not self.transport.is_closing():
            self._connections.add(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer, in the form of every error, that this was no request; then hang up."""
        self._over = True
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # in the middle of an answer
            return
        assert isinstance(self.conn, Parser)
        status = self.conn.refused_with
        declined = Declined(status, WORDS.get(status, "this is no HTTP/1.1 request"))
        body = json.dumps(declined.body()).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
            *HEADERS,
        ]
        head = h11.Response(
            status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode()
        )
        for event in (head, h11.Data(body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        # a connection that is closed on a client in the middle of sending loses the answer
        self.transport.write_eof()
        self.loop.call_later(LINGERING_SECONDS, self.transport.abort)

    def _look(self) -> None:
        """Hang up if nothing moved since the last check."""
        stuck = self.flow.write_paused
        if (self.idle and self._answered == self._answered_before) or (stuck and self._stuck):
            self.transport.abort()
            return
        self._answered_before, self._stuck = self._answered, stuck
        self._look_again = self.loop.call_later(self.idle_seconds, self._look)


def _network(address: str) -> str:
    """Return the part that all addresses of one client share."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((int(found), NETWORK_BITS), strict=False))
