"""The server: its socket, and a shutdown that drains within a bounded time."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from analyze.lookup.http.connection import IDLE_SECONDS, ClientConnection, Connections
from analyze.lookup.http.request_guard import App
from extract.errors import UsageError

BACKLOG = 512
ACCEPTED_AT_ONCE = 8
"""Before those are heard that came earlier: asyncio accepts as many as its backlog in one go."""

DRAINING_SECONDS = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """Serves until a signal, then answers what it has taken; ``ended_by`` is the signal."""

    ended_by: int = signal.SIGTERM

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, with the backlog of the socket as it was."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(BACKLOG)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals; the second ends the server without waiting for who is slow."""
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: Any) -> None:
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
    """Return whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_of(name: str, port: int, token: str | None) -> str:
    """Return the address of the page, with its token."""
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


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
        http=partial(ClientConnection, Connections()),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=DRAINING_SECONDS,
    )
    server = Server(config)
    server.run(sockets=[listening])
    return server.ended_by
