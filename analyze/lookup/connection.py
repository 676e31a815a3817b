"""One client's connection: how long it may be silent, who makes room, and what is no request."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from analyze.lookup.declined import Declined
from analyze.lookup.gate import HEADERS, LINGERING_SECONDS

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
        """Give what came next.

        Raises
        ------
        RemoteProtocolError
            When it is no HTTP, or too much of it.
        """
        try:
            if self.their_state is h11.IDLE:
                self._check_head(self.trailing_data[0])
            event = super().next_event()
            if isinstance(event, h11.Request) and not event.http_version.startswith(b"1."):
                raise h11.RemoteProtocolError("another HTTP", error_status_hint=505)
        except h11.RemoteProtocolError as error:
            self.refused_with = error.error_status_hint
            raise
        return event

    def _check_head(self, received: bytes) -> None:
        if len(received) > self._most and HEAD_ENDS.search(received, 0, self._most) is None:
            raise h11.RemoteProtocolError("too long a head", error_status_hint=431)


class Patience(H11Protocol):
    """HTTP/1.1 that hangs up on whoever sends no request, or takes no answer, for too long.

    Of too many connections, the one that has sent no request for longest makes room.
    """

    idle_seconds = IDLE_SECONDS
    _answered = _answered_before = 0
    _stuck = _over = False
    _look_again: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client, in the place of an idle one where there are too many."""
        super().connection_made(transport)
        self.conn = Parser(MOST_HEAD_BYTES)
        self.address = _network(self.client[0] if self.client else "")
        self.idle_since = self.loop.time()
        if not self._find_room():
            self._drop()
            return
        self._look_again = self.loop.call_later(self.idle_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a client."""
        if self._look_again is not None:
            self._look_again.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what a client sends; after what was no request it is thrown away."""
        if not self._over:
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Count what was answered."""
        self._answered += 1
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Say as every error is said that this was no request; then hang up."""
        self._over = True
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # in the middle of an answer
            return
        status = self.conn.refused_with if isinstance(self.conn, Parser) else 400
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

    @property
    def _idle(self) -> bool:
        """Whether no request, or not the whole head of one, has come."""
        return self.cycle is None or self.cycle.response_complete

    def _find_room(self) -> bool:
        """Drop one that has sent no request where there are too many; False where all have."""
        others = [each for each in self.connections if isinstance(each, Patience)]
        others.remove(self)
        same = [each for each in others if each.address == self.address]
        crowd = same if len(same) >= MOST_OF_AN_ADDRESS else others
        if crowd is others and len(others) < MOST_CONNECTIONS:
            return True
        # a body that is still to come is not work yet, but more than nothing
        waiting = [each for each in crowd if each._idle or each.cycle.more_body]
        if not waiting:
            return False
        min(waiting, key=lambda each: (not each._idle, each.idle_since))._drop()
        return True

    def _drop(self) -> None:
        self.connections.discard(self)  # at once: more may come before it is gone
        self.transport.abort()

    def _look(self) -> None:
        """See whether anything moved since the last look."""
        stuck = self.flow.write_paused
        if (self._idle and self._answered == self._answered_before) or (stuck and self._stuck):
            self.transport.abort()
            return
        self._answered_before, self._stuck = self._answered, stuck
        self._look_again = self.loop.call_later(self.idle_seconds, self._look)


def _network(address: str) -> str:
    """Give what all addresses share that a client may call from."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((int(found), NETWORK_BITS), strict=False))
