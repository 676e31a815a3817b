"""Connections: who is answered however many there are, and what is said to what is no request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from analyze.lookup.http import connection
from analyze.lookup.http.connection import MOST_HEAD_BYTES, ClientConnection, Connections
from analyze.lookup.http.request_guard import HEADERS, RequestGuard, Rules
from analyze.lookup.web.rest import as_json

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[bytes], Awaitable[Client]]
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"POST /similar HTTP/1.1\r\nHost: localhost\r\n"
BODY = HEAD + b"Content-Length: 4\r\n\r\n"
SLOW = GET.replace(b"GET /", b"GET /slow")


def at_the_door(talk: Callable[[Connect, asyncio.Event], Awaitable[None]]) -> None:
    """Serve on a free port while clients talk; ``/slow`` is answered when an event is set."""

    async def all_of_it() -> None:
        go, clients = asyncio.Event(), []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/slow":
                await go.wait()
            while (await receive()).get("more_body"):
                pass
            await as_json({"path": scope["path"]})(scope, receive, send)

        def say(_scope: Any, declined: Any) -> Any:
            return as_json(declined.body(), declined.status, declined.headers())

        config = uvicorn.Config(
            RequestGuard(app, Rules(), say), ws="none", log_config=None, server_header=False
        )
        config.load()
        state, crowd = ServerState(), Connections()
        server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(crowd, config, state, {}), "127.0.0.1", 0
        )

        async def connect(sent: bytes) -> Client:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            clients.append(writer)
            writer.write(sent)
            await asyncio.sleep(0.01)
            return reader, writer

        try:
            async with asyncio.timeout(20):
                await talk(connect, go)
        finally:
            for each in clients:
                each.close()
            server.close()

    asyncio.run(all_of_it())


async def answered(client: Client) -> int:
    head = await client[0].readuntil(b"\r\n\r\n")
    await client[0].readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    return int(head.split()[1])


@pytest.mark.parametrize("bound", ["MOST_CONNECTIONS", "MOST_OF_AN_ADDRESS"])
def test_however_many_connections_are_idle_a_newcomer_is_answered(
    monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(connection, bound, 6)

    async def talk(connect: Connect, go: asyncio.Event) -> None:
        slow, body = await connect(SLOW), await connect(BODY)
        kept = await connect(GET)
        assert await answered(kept) == 200
        # silent ones, and such as never end the head of their request
        crowd = [await connect((b"", GET[:-3])[i % 2]) for i in range(40)]
        newcomer = await connect(GET)
        assert await answered(newcomer) == 200
        body[1].write(b"body")
        go.set()
        assert [await answered(each) for each in (slow, body)] == [200, 200], "never dropped"
        hung_up = [each for each in (kept, *crowd) if each[0].at_eof()]
        assert hung_up[:2] == [kept, crowd[0]], "the oldest first"
        assert len(hung_up) == 1 + 40 + 3 - 6 + 1 - 1

    at_the_door(talk)


def test_a_body_that_does_not_come_makes_room_and_work_never_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "MOST_OF_AN_ADDRESS", 3)

    async def talk(connect: Connect, go: asyncio.Event) -> None:
        bodies = [await connect(BODY) for _ in range(3)]
        slow = [await connect(SLOW) for _ in range(3)]
        assert all(each[0].at_eof() for each in bodies)
        late = await connect(GET)
        assert await late[0].read() == b""
        go.set()
        assert [await answered(each) for each in slow] == [200, 200, 200]
        assert await answered(await connect(GET)) == 200

    at_the_door(talk)


def test_a_head_that_comes_byte_by_byte_has_a_time_for_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ClientConnection, "idle_seconds", 0.3)

    async def talk(connect: Connect, _go: asyncio.Event) -> None:
        reader, writer = await connect(b"GET / HTTP/1.1\r\nA: ")
        began = asyncio.get_running_loop().time()
        while not reader.at_eof():
            writer.write(b"x")
            await asyncio.sleep(0.02)
            assert asyncio.get_running_loop().time() < began + 30

    at_the_door(talk)


def test_one_client_has_many_addresses_of_ipv6() -> None:
    one, other = "2001:db8:0:1::7", "2001:db8:0:1:ffff::9"
    assert connection._network(one) == connection._network(other)
    assert connection._network(one) != connection._network("2001:db8:0:2::7")
    assert connection._network("10.0.0.1") != connection._network("10.0.0.2")
    assert connection._network("fe80::1%eth0") == connection._network("fe80::2")


LONG = b"A: " + b"x" * (MOST_HEAD_BYTES + 600) + b"\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"NONSENSE\r\n\r\n", 400, "bad_request"),
        (b"GET /\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
        (GET[:-2] + b"no header\r\n\r\n", 400, "bad_request"),
        (GET[:-2] + b"Host: again\r\n\r\n", 400, "bad_request"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "bad_request"),
        (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, "bad_request"),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400, "bad_request"),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         "bad_request"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n", 400, "bad_request"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501, "not_implemented"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "other_http"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(300), 400, "bad_request"),
        (GET[:-2] + LONG + b"\r\n", 431, "head_too_large"),
        (GET[:-2] + b"A: b\r\n" * 3000 + b"\r\n", 431, "head_too_large"),
        (GET[:-2] + LONG * 20, 431, "head_too_large"),
        (b"GET /" + LONG[3:-2] + b" HTTP/1.1\r\n\r\n", 431, "head_too_large"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_told_so_as_every_error_is(
    sent: bytes, status: int, code: str
) -> None:
    async def talk(connect: Connect, _go: asyncio.Event) -> None:
        reader, _ = await connect(sent)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        line, *headers = head.lower().split(b"\r\n")
        assert int(line.split()[1]) == status
        assert len(line.split()) > 2, "with its words"
        named = dict(each.split(b": ", 1) for each in headers)
        assert (named[b"content-type"], named[b"cache-control"]) == (
            b"application/json",
            b"no-store",
        )
        assert all(named[name] == value.lower() for name, value in HEADERS)
        assert named[b"connection"] == b"close"
        said = json.loads(body[: int(named[b"content-length"])])
        assert (set(said), said["code"]) == ({"error", "code"}, code)

    at_the_door(talk)


def test_the_bound_holds_for_each_request_and_for_heads_alone() -> None:
    async def talk(connect: Connect, _go: asyncio.Event) -> None:
        almost = GET[:-2] + b"A: " + b"x" * (MOST_HEAD_BYTES - 100) + b"\r\n\r\n"
        many = HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(100_000)
        client = await connect(almost + many + GET[:-2] + LONG + b"\r\n")
        assert [await answered(client) for _ in range(3)] == [200, 200, 431]

    at_the_door(talk)
