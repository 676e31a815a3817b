"""The look-alike service attacked: what a second client gets meanwhile, and how it ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import serving, ticking
from tests.benchmarks.process_costs import processor_in_words

IDLE, SLOW_HEADS, HEAVY, UPLOADS, BOMBS = 1_000, 390, 12, 64, 16
HEAVY_SIZE, SMALL_SIZE = (7_000, 7_000), (1_200, 900)
CHUNKED_BYTES, CHUNK = 100_000_000, 1 << 20
HELD_SECONDS = 15.0
MOST_SECONDS = 120.0
"""In which an upload is to be answered, whatever the answer."""

ATTACKS = ("nothing", "idle", "slow heads", "heavy", "uploads", "bombs", "chunked")
OPENED_AGAIN_SECONDS = 2.0
LOOK_UP_MS = 500
PAUSE = 0.02
HEAD = b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\n"


@dataclass
class Ends:
    """How requests of an attack ended.

    Parameters
    ----------
    statuses : Counter
        0 of a connection that ended without an answer.
    unfit : int
        503 without Retry-After.
    longest : float
        Seconds.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    unfit: int = 0
    longest: float = 0.0

    def took(self, answer: bytes, seconds: float) -> None:
        words = answer.split(b" ", 2)
        status = int(words[1]) if len(words) > 1 else 0
        self.statuses[status] += 1
        self.unfit += status == 503 and b"retry-after:" not in answer.lower()
        self.longest = max(self.longest, seconds)


@dataclass(frozen=True)
class Attack:
    """What is done to the service, and which answers are right.

    Parameters
    ----------
    name : str
    run : callable
        (port, how requests ended) -> None.
    right : tuple of int
    """

    name: str
    run: Callable[[int, Ends], None]
    right: tuple[int, ...] = ()


def measure(only: Sequence[str] | None = None) -> None:
    """Print as JSON what a second client gets during each attack, and how the attack ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4_096, hard)), hard))
    found: dict[str, Any] = {"machine": processor_in_words(), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as temporary:
        root, ticks = Path(temporary) / "demo", Path(temporary) / "ticks"
        serving.lay_out_demo(root)
        os.environ[ticking.FILE] = str(ticks)
        with serving.serving(root, module="tests.benchmarks.ticking") as served:
            served.wait_for_uploads()
            for attack in _attacks():
                if not only or attack.name in only:
                    found[attack.name] = _measured(served.port, attack, ticks)
    print(json.dumps(found, indent=1))


def _measured(port: int, attack: Attack, ticks: Path) -> dict[str, Any]:
    ends = Ends()
    with _second_client(port) as look_ups:
        began = time.monotonic()
        attack.run(port, ends)
        ended = time.monotonic()
    noted = ticking.read_ticks(ticks)
    noted = 1e3 * noted[(noted[:, 0] > began) & (noted[:, 0] < ended), 1:]
    late, worked = np.quantile(noted, [0.999, 1], axis=0).T if len(noted) else [[np.nan] * 2] * 2
    milliseconds, failed = look_ups[0]
    p50, p95, most = np.quantile(milliseconds or [np.nan], [0.5, 0.95, 1])
    return {
        "seconds": round(ended - began, 1),
        "look_ups": len(milliseconds),
        "look_ups_failed": failed,
        "look_up_p50_ms": round(p50, 1),
        "look_up_p95_ms": round(p95, 1),
        "look_up_most_ms": round(most, 1),
        "ticks": len(noted),
        "late_p999_and_most_ms": [round(float(each), 1) for each in late],
        "worked_p999_and_most_ms": [round(float(each), 1) for each in worked],
        "statuses": {str(status): n for status, n in sorted(ends.statuses.items())},
        "longest_s": round(ends.longest, 1),
        "as_it_should": bool(
            p95 < LOOK_UP_MS
            and not failed
            and not ends.unfit
            and set(ends.statuses) <= set(attack.right)
            and ends.longest < MOST_SECONDS
        ),
    }


# the second client


@contextmanager
def _second_client(port: int) -> Iterator[list[tuple[list[float], int]]]:
    """Look products up from another process while the block runs, a connection for each."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_look_up, args=(theirs, port))
    child.start()
    ours.recv()
    found: list[tuple[list[float], int]] = []
    try:
        yield found
    finally:
        ours.send("enough")
        found.append(ours.recv())
        child.join()


def _look_up(told: Connection, port: int) -> None:
    page = _exchange(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    links = [part.split(b'"')[0] for part in page.split(b'href="/product?')[1:]]
    ids = [link.split(b"&")[0] for link in links]
    milliseconds, failed = [], 0
    told.send("begun")
    for turn in range(10**9):
        if told.poll():
            break
        asked = b"GET /api/similar?" + ids[turn % len(ids)] + b" HTTP/1.1\r\nHost: localhost\r\n"
        began = time.perf_counter()
        answer = _exchange(port, asked + b"Connection: close\r\n\r\n")
        milliseconds.append(1e3 * (time.perf_counter() - began))
        failed += not answer.startswith(b"HTTP/1.1 200")
        time.sleep(PAUSE)
    told.send((milliseconds, failed))


def _exchange(port: int, *sent: bytes, seconds: float = MOST_SECONDS) -> bytes:
    """Send a request and read its answer; what there is of it where the connection ends early."""
    answer = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=seconds) as to:
        with suppress(
            BrokenPipeError, ConnectionResetError
        ):  # an answer may come before all is sent
            for part in sent:
                to.sendall(part)
        while part := to.recv(1 << 16):
            answer += part
    return answer


# the attacks


def _attacks() -> tuple[Attack, ...]:
    heavy, small = (
        serving.as_form(serving.draw_photo(size)) for size in (HEAVY_SIZE, (1_200, 900))
    )
    bombs = [serving.as_form(each) for each in serving.hostile_files()]
    return (
        Attack("nothing", lambda _port, _ends: time.sleep(HELD_SECONDS)),
        Attack("idle", _idle),
        Attack("slow heads", _slow_heads),
        Attack("heavy", lambda port, ends: _at_once(port, [heavy] * HEAVY, ends), (200, 503)),
        Attack("uploads", lambda port, ends: _at_once(port, [small] * UPLOADS, ends), (200, 503)),
        Attack(
            "bombs",
            lambda port, ends: _at_once(port, [bombs[i % len(bombs)] for i in range(BOMBS)], ends),
            (200, 422, 503),  # one of them is a picture of 49 megapixels
        ),
        Attack("chunked", _chunked, (413,)),
    )


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=MOST_SECONDS)


def _idle(port: int, _ends: Ends) -> None:
    """Hold many connections, and open each again that is dropped."""
    held = [_connect(port) for _ in range(IDLE)]
    until = time.monotonic() + HELD_SECONDS
    while time.monotonic() < until:
        time.sleep(OPENED_AGAIN_SECONDS)
        for place, each in enumerate(held):
            each.setblocking(False)
            try:
                gone = each.recv(1) == b""
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone and time.monotonic() < until:
                each.close()
                held[place] = _connect(port)
    for each in held:
        each.close()


def _slow_heads(port: int, _ends: Ends) -> None:
    """Send heads byte by byte, and begin each again that is hung up on."""
    held = [_connect(port) for _ in range(SLOW_HEADS)]
    until = time.monotonic() + HELD_SECONDS
    while time.monotonic() < until:
        for place, each in enumerate(held):
            try:
                each.sendall(b"G")
            except OSError:
                each.close()
                held[place] = _connect(port)
        time.sleep(0.5)
    for each in held:
        each.close()


def _at_once(port: int, bodies: Sequence[bytes], ends: Ends) -> None:
    """Send pictures at once and wait for every answer."""

    def one(body: bytes) -> None:
        head = HEAD + b"Connection: close\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        began = time.monotonic()
        answer = _exchange(port, head + b"Content-Length: %d\r\n\r\n" % len(body), body)
        ends.took(answer, time.monotonic() - began)

    threads = [threading.Thread(target=one, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _chunked(port: int, ends: Ends) -> None:
    """Send a body that does not say how large it is."""
    head = HEAD + b"Transfer-Encoding: chunked\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    begun = serving.as_form(b"").partition(b"\r\n--x--")[0]
    began = time.monotonic()
    parts = [head + b"Connection: close\r\n\r\n", _chunk(begun)]
    parts += [_chunk(bytes(CHUNK))] * (CHUNKED_BYTES // CHUNK)
    ends.took(_exchange(port, *parts), time.monotonic() - began)


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n" % len(content) + content + b"\r\n"
