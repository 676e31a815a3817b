"""The gate before the service: what is declined before any of it is read, and how slowly."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from analyze.lookup.app import build_app
from analyze.lookup.http.errors import Declined
from analyze.lookup.http.parameters import SearchRequest, address, pairs_of, read_search
from analyze.lookup.http.request_guard import RequestGuard, Rules
from analyze.lookup.http.request_limiter import RequestLimiter
from analyze.lookup.http.server import is_loopback, listen
from analyze.lookup.web.rest import as_json

Message = MutableMapping[str, Any]


def say(_scope: Any, declined: Declined) -> Any:
    return as_json(declined.body(), declined.status, declined.headers())


def through(
    rules: Rules,
    body: list[bytes | None],
    *headers: tuple[bytes, bytes],
    method: str = "POST",
    path: str = "/api/similar",
    app: Callable[..., Awaitable[None]] | None = None,
) -> tuple[int, bytes, list[bytes]]:
    """Send a request through the gate; give status, answer, and what of the body was read.

    A part that is None never comes.
    """
    read: list[bytes] = []
    sent: list[Message] = []
    parts = iter(body)

    async def receive() -> Message:
        if read and len(read) >= len(body):
            await asyncio.Event().wait()  # the client stays, and sends nothing more
        part = next(parts, b"")
        if part is None:
            await asyncio.sleep(60)
        read.append(part or b"")
        return {"type": "http.request", "body": part, "more_body": len(read) < len(body)}

    async def send(message: Message) -> None:
        sent.append(message)

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        try:
            while (await receive()).get("more_body"):
                pass
            answer = as_json({"ok": True})
        except Declined as declined:
            answer = say(scope, declined)
        await answer(scope, receive, send)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *headers],
    }
    asyncio.run(RequestGuard(app or echo, rules, say)(scope, receive, send))
    answer = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], answer, read


def test_what_fits_passes_with_the_headers_that_keep_a_browser_safe() -> None:
    assert through(Rules(), [b"a", b"b"])[:2] == (200, b'{"ok": true}')


def test_a_body_of_unknown_size_is_counted_as_it_comes() -> None:
    rules = Rules(most_body=100)
    assert through(rules, [b"x" * 50, b"x" * 50])[0] == 200
    status, answer, read = through(rules, [b"x" * 50, b"x" * 51, b"more"])
    assert (status, json.loads(answer)["code"]) == (413, "too_large")
    assert read == [b"x" * 50, b"x" * 51, b"more"]  # thrown away, so that the answer is read


def test_a_body_that_says_its_size_is_refused_unread() -> None:
    said = (b"content-length", b"101"), (b"expect", b"100-continue")
    status, _, read = through(Rules(most_body=100), [b"x"], *said)
    assert (status, read) == (413, [])


@pytest.mark.parametrize("size", [b"-1", b"1e3", b"", "١".encode(), b"0x10"])
def test_a_size_that_is_no_number_is_refused(size: bytes) -> None:
    assert through(Rules(), [b"x"], (b"content-length", size))[0] == 400


def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    status, answer, _ = through(Rules(body_seconds=0.1), [b"x", None])
    assert (status, json.loads(answer)["code"]) == (408, "too_slow")


def test_the_token_is_compared_whole() -> None:
    rules = Rules(token="secret")
    for wrong in (None, "", "secre", "secrets", "SECRET", "sécret", "\udcff"):
        assert not rules.knows(wrong)
    assert rules.knows("secret")
    assert "secret" not in repr(rules)


def test_so_many_work_so_many_wait_and_the_rest_is_told() -> None:
    async def all_at_once() -> list[str]:
        door, go = RequestLimiter(2, 3, retry_after=7), asyncio.Event()
        at_work = most = 0

        async def one() -> str:
            nonlocal at_work, most
            try:
                async with door.entered():
                    at_work += 1
                    most = max(most, at_work)
                    await go.wait()
                    at_work -= 1
            except Declined as declined:
                return f"{declined.status} {declined.retry_after}"
            return "done"

        tasks = [asyncio.create_task(one()) for _ in range(9)]
        await asyncio.sleep(0.01)
        tasks[2].cancel()  # a client that leaves gives its place in the line to the next
        await asyncio.sleep(0.01)
        late = asyncio.create_task(one())
        await asyncio.sleep(0.01)
        go.set()
        found = await asyncio.gather(*tasks, late, return_exceptions=True)
        assert most == 2
        return [str(each) for each in found]

    found = asyncio.run(all_at_once())
    assert found == ["done"] * 2 + [""] + ["done"] * 2 + ["503 7"] * 4 + ["done"]


def test_parameters_are_read_as_they_were_meant() -> None:
    query = b"id=a%2Fb.png&id=%ff&where=l%3Dx&where=&model=&top=3&diverse=on"
    asked = read_search(pairs_of(query), ("id", "where", "model", "top", "diverse"))
    assert asked == SearchRequest(None, ("a/b.png", "\udcff"), 3, ("l=x",), 0.7)


def test_a_link_keeps_an_ids_bytes() -> None:
    asked = "a&b=c/\udcff é.png"
    link = address("/product", [("id", asked), ("model", None)])
    assert link.isascii()
    assert pairs_of(link.partition("?")[2].encode()) == [("id", asked)]


@pytest.mark.parametrize(
    ("host", "inside"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("shop", False), ("", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


def test_no_part_of_an_answer_waits_for_the_clients_word() -> None:
    """By Nagle's algorithm a body would wait until its head is acknowledged, for 40 ms."""

    async def at_once() -> bool:
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def come(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            at_once = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            answered.set_result(bool(at_once))
            writer.close()

        with listen("127.0.0.1", 0) as listening:
            async with await asyncio.start_server(come, sock=listening):
                _, writer = await asyncio.open_connection(*listening.getsockname())
                found = await answered
                writer.close()
                return found

    assert asyncio.run(at_once())


def test_a_fault_of_our_own_is_in_the_log_and_not_in_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        @property
        def catalogs(self) -> None:
            raise ZeroDivisionError("in a/secret/place\nerror: forged")

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        app = build_app(Broken(), Rules())  # type: ignore[arg-type]
        with pytest.raises(ZeroDivisionError):  # the server shows it with -vv
            await app(scope, receive, send)

    status, answer, _ = through(Rules(), [], method="GET", path="/api/health", app=broken)
    assert status == 500
    assert json.loads(answer)["code"] == "internal"
    assert b"secret" not in answer
    (said,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert said.startswith("/api/health: unexpected ZeroDivisionError: in a/secret/place")
    assert "\n" not in said


def test_a_client_that_hangs_up_while_it_waits_gives_its_place_back() -> None:
    async def all_of_it() -> None:
        door, told = RequestLimiter(1, 1), asyncio.Event()
        sent: list[Message] = []

        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            await receive()
            async with door.entered():
                await asyncio.Event().wait()

        async def receive() -> Message:
            if not told.is_set():
                told.set()
                return {"type": "http.request", "body": b"x", "more_body": False}
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
        headers = [(b"host", b"localhost"), (b"content-length", b"1")]
        async with asyncio.timeout(5):
            await RequestGuard(app, Rules(), say)({**scope, "headers": headers}, receive, send)
            async with door.entered():
                assert (door.waiting, sent) == (0, [])

    asyncio.run(all_of_it())


def test_a_place_is_waited_for_in_bounded_time() -> None:
    async def all_of_it() -> None:
        door = RequestLimiter(1, 5, retry_after=7)
        async with door.entered():
            with pytest.raises(Declined) as declined:
                async with door.entered(0.05):
                    pass
        assert (declined.value.status, declined.value.retry_after, door.waiting) == (503, 7, 0)
        async with door.entered(0.05):
            pass

    asyncio.run(all_of_it())
