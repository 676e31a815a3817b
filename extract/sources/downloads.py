"""Pictures at addresses of the web: bounded in size, time, tries and redirects."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from extract.addresses import without_credentials
from extract.refusals import Reason, Refused
from extract.sources.located import UNKNOWN_SIZE

WEB = ("http://", "https://")
TRIES = 3
PAUSE_SECONDS = 0.5
"""Before the second try; twice as long before the next."""

CONNECT_SECONDS, SILENCE_SECONDS, TOTAL_SECONDS = 10.0, 20.0, 120.0
"""To connect, between two answers of a server, and of a picture with all tries and redirects."""

MOST_PAUSE_SECONDS = 10.0
MOST_REDIRECTS = 5
MOST_CONNECTIONS = 64
MOST_BYTES = 256 << 20
SEEN = UNKNOWN_SIZE, 0
"""Size and date of every picture at an address: it counts as unchanged until it is read again."""

GONE, CLOSED, BUSY = {404, 410}, {401, 402, 403, 407, 451}, {408, 425, 429, 500, 502, 503, 504}

_full: dict[str, str] = {}
"""Addresses with the credentials that a table has for them, by what is kept of them."""


class _Again(Exception):
    """A try failed, and another may not."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


def is_on_the_web(path: str) -> bool:
    """Whether a path is an address of the web."""
    return path.lstrip().lower().startswith(WEB)


_starting = threading.Lock()


def bare_addresses(cells: Iterable[str]) -> dict[str, str]:
    """Take the credentials out of the cells of a table; those of the web are kept for this run.

    Cells that differ in nothing else may be different pictures: each has a part of its check sum
    behind ``#``, which is the same in the next run and not sent to the server.

    Examples
    --------
    >>> bare_addresses(["https://shop.example/a.jpg?token=1", "b.jpg"])
    {'https://shop.example/a.jpg?token=1': 'https://shop.example/a.jpg', 'b.jpg': 'b.jpg'}
    """
    bare = {cell: without_credentials(cell) for cell in cells}
    full: dict[str, set[str]] = {}
    for cell, kept in bare.items():
        if is_on_the_web(cell):
            full.setdefault(kept.strip(), set()).add(cell.strip())
    for cell, kept in bare.items():
        if is_on_the_web(cell) and kept != cell:
            if len(full[kept]) > 1:
                digest = hashlib.sha256(cell.strip().encode("utf-8", "surrogateescape"))
                bare[cell] = f"{kept.partition('#')[0]}#{digest.hexdigest()[:12]}"
            _full[bare[cell]] = cell.strip()
    return bare


def download(path: str, most: int) -> bytes:
    """Download at most this many bytes, and try again where that may help.

    Raises
    ------
    Refused
        With the reason, and no credentials in it.
    """
    path = path.strip()
    begun = asyncio.run_coroutine_threadsafe(_in_time(_full.get(path, path), most), _loop())
    try:
        return begun.result()
    except CancelledError as error:
        raise Refused(Reason.UNREACHABLE, "the run ended before it was there") from error


def abandon() -> None:
    """End all downloads of this process; who waits for one is refused."""
    if _started_loop.cache_info().currsize:
        loop = _loop()
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])


async def _in_time(url: str, most: int) -> bytes:
    """Try within one deadline, which a server that gives a byte now and then cannot put off."""
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            return await _tries(url, most)
    except TimeoutError as error:
        message = f"not there in {TOTAL_SECONDS:.0f} seconds"
        raise Refused(Reason.UNREACHABLE, message) from error


async def _tries(url: str, most: int) -> bytes:
    pause = PAUSE_SECONDS
    for left in reversed(range(TRIES)):
        try:
            return await _one_try(url, most)
        except _Again as again:
            if not left:
                raise Refused(Reason.UNREACHABLE, f"{again}, in {TRIES} tries") from again
            await asyncio.sleep(min(max(pause, again.pause), MOST_PAUSE_SECONDS))
            pause *= 2
    raise AssertionError("unreachable")


async def _one_try(url: str, most: int) -> bytes:
    import httpx

    try:
        async with _following(url) as response:
            return await _body(response, most)
    except httpx.TimeoutException as error:
        raise _Again(f"the server was silent ({type(error).__name__})") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        raise Refused(Reason.MISSING, "no address of the web: correct it") from error
    except httpx.HTTPError as error:
        # its words may hold the address, with what signs it
        raise _Again(f"the connection failed ({type(error).__name__})") from error


@asynccontextmanager
async def _following(url: str) -> AsyncIterator[Any]:
    """Request an address, then where it leads to.

    Never from https to http, off the web, or from a public host to one of the local network.
    """
    import httpx

    at = typed = httpx.URL(url)
    for _ in range(MOST_REDIRECTS + 1):
        async with _client().stream("GET", at) as response:
            if not response.has_redirect_location:
                yield response
                return
            following = at.join(response.headers["location"])
            if following.scheme not in (at.scheme, "https"):
                raise Refused(
                    Reason.UNREACHABLE,
                    f"leads from {at.scheme} to {following.scheme[:20]}, which is not followed",
                )
            if following.host not in (at.host, typed.host):
                await _refuse_from_public_to_local(typed.host, following.host)
            at = following
    raise Refused(Reason.UNREACHABLE, f"leads on and on, {MOST_REDIRECTS} times")


async def _refuse_from_public_to_local(typed: str, host: str) -> None:
    """Refuse to be led to what the local network alone reaches, unless a table names such a host.

    A table that others wrote could have a machine request what is behind its firewall.
    """
    if await _is_local(host) and not await _is_local(typed):
        raise Refused(
            Reason.UNREACHABLE, f"leads to {host[:80]} in the local network, which is not followed"
        )


async def _is_local(host: str) -> bool:
    """Whether a host has an address of the local network; unknown hosts, as of a proxy, do not."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    addresses = [ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    return any(not (getattr(ip, "ipv4_mapped", None) or ip).is_global for ip in addresses)


async def _body(response: Any, most: int) -> bytes:
    """Read a body, or say why there is none."""
    status = response.status_code
    if status in GONE:
        raise Refused(Reason.MISSING, f"the server has none there (status {status})")
    if status in CLOSED:
        raise Refused(Reason.PERMISSION, f"the server does not give it (status {status})")
    if status in BUSY:
        raise _Again(f"the server failed (status {status})", _requested_pause(response))
    if status != 200:
        raise Refused(Reason.UNREACHABLE, f"the server answered with status {status}")
    claimed = response.headers.get("content-length", "")
    if claimed.isascii() and claimed.isdigit() and int(claimed) > most:
        raise Refused(Reason.TOO_LARGE, f"{int(claimed):,} bytes, over {most:,}")
    content = bytearray()
    async for chunk in response.aiter_raw():  # as it comes: to wait for more could take for ever
        content += chunk
        if len(content) > most:
            raise Refused(Reason.TOO_LARGE, f"a body of more than {most:,} bytes")
    return bytes(content)


def _requested_pause(response: Any) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _loop() -> asyncio.AbstractEventLoop:
    """Give the thread of this process that downloads; a second one could not be abandoned."""
    with _starting:
        return _started_loop()


@lru_cache(maxsize=1)
def _started_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="downloads", daemon=True).start()
    return loop


@lru_cache(maxsize=1)
def _client() -> Any:
    import httpx

    return httpx.AsyncClient(
        follow_redirects=False,
        timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=MOST_CONNECTIONS),
        headers={"User-Agent": "sosie", "Accept": "image/*,*/*", "Accept-Encoding": "identity"},
    )


if hasattr(os, "register_at_fork"):  # connections and threads are of one process
    os.register_at_fork(after_in_child=_client.cache_clear)
    os.register_at_fork(after_in_child=_started_loop.cache_clear)
    os.register_at_fork(
        before=_starting.acquire,
        after_in_parent=_starting.release,
        after_in_child=_starting.release,
    )
