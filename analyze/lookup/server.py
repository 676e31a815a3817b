"""The server: a socket, clients that are not waited for without end, and an end that drains."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from analyze.lookup.gate import App
from extract.errors import UsageError

IDLE_SECONDS = 10.0
"""In which a client must have sent the head of a request."""

MOST_CONNECTIONS = 400
BACKLOG = 512
DRAINING_SECONDS = 20
MOST_HEAD_BYTES = 16 << 10
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Patience(H11Protocol):
    """HTTP/1.1 that hangs up on whoever sends no request, or takes no answer, for too long."""

    idle_seconds = IDLE_SECONDS
    _answered = _answered_before = 0
    _stuck = False
    _look_again: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._look_again = self.loop.call_later(self.idle_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a client."""
        if self._look_again is not None:
            self._look_again.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Count what was answered."""
        self._answered += 1
        super().on_response_complete()

    def _look(self) -> None:
        """See whether anything moved since the last look."""
        idle = self.cycle is None or self.cycle.response_complete
        stuck = self.flow.write_paused
        if (idle and self._answered == self._answered_before) or (stuck and self._stuck):
            self.transport.abort()
            return
        self._answered_before, self._stuck = self._answered, stuck
        self._look_again = self.loop.call_later(self.idle_seconds, self._look)


class Server(uvicorn.Server):
    """Serves until a signal, then answers what it has taken, and says which signal it was."""

    ended_by: int = signal.SIGTERM

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals; the second ends the server without waiting for who is slow."""
        before = {number: signal.signal(number, self._asked_to_end) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked_to_end(self, number: int, frame: Any) -> None:
        self.ended_by = number
        self.force_exit = self.should_exit
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Open the socket, before anything that takes time.

    Raises
    ------
    UsageError
        When the address is not to be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # with its protocol named, asyncio lets each part of an answer leave at once (TCP_NODELAY):
        # else the body waits 40 ms for the client's word that the head has come
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)  # who reads the address may call before the first answer
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {host} port {port}: {why}; give another --port"
        ) from None
    return listening


def is_loopback(host: str) -> bool:
    """Say whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(app: App, listening: socket.socket, *, traced: bool = False) -> int:
    """Serve until a signal; everything taken by then is answered.

    Parameters
    ----------
    app : callable
        ASGI.
    listening : socket
    traced : bool
        Whether faults of our own are logged with their traceback.

    Returns
    -------
    int
        The signal's number.
    """
    for others in ("uvicorn.error", "python_multipart"):
        logging.getLogger(others).setLevel(logging.ERROR if traced else logging.CRITICAL)
    config = uvicorn.Config(
        app,
        http=Patience,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=DRAINING_SECONDS,
    )
    server = Server(config)
    server.run(sockets=[listening])
    return server.ended_by
