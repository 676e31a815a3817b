"""A web server that gives pictures, and whatever else servers do."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNKED_MEGABYTE = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"


class Answers(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    server: Any
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        self.server.asked[self.path] += 1
        self.close_connection = True
        files: Path = self.server.files
        if name.startswith("files/") and (files / name[6:]).is_file():
            self._give((files / name[6:]).read_bytes())
        else:
            getattr(self, f"give_{name.partition('/')[0].replace('-', '_')}", self.give_404)()

    def _give(self, body: bytes, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for key, value in {"Content_Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(key.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def give_404(self) -> None:
        self._give(b"none", 404)

    def give_status(self) -> None:
        self._give(b"status", int(self.path.partition("?")[0].rpartition("/")[2]))

    def give_second(self) -> None:
        """Fail once, then give."""
        if self.server.asked[self.path] == 1:
            self._give(b"later", 503, Retry_After="0")
        else:
            self._give(b"second")

    def give_patience(self) -> None:
        self._give(b"later", 429, Retry_After="99999")

    def give_empty(self) -> None:
        self._give(b"")

    def give_to(self) -> None:
        """Lead to what the query holds."""
        self._give(b"", 302, Location=self.path.partition("?")[2])

    def give_loop(self) -> None:
        self._give(b"", 301, Location=f"/loop/{self.server.asked.total()}")

    def give_silence(self) -> None:
        self.server.ended.wait(5)

    def give_half(self) -> None:
        self._give(b"half", Content_Length=99)

    def give_more(self) -> None:
        self._give(b"more than that", Content_Length=4)

    def give_a_terabyte(self) -> None:
        self._give(b"x", Content_Length=1 << 40)

    def give_stall(self) -> None:
        self._give(b"some", Content_Length=99)
        self.wfile.flush()
        self.server.ended.wait(5)

    def give_drip(self) -> None:
        self._give(b"", Content_Length=10_000)
        while not self.server.ended.is_set():
            self.wfile.write(b".")
            time.sleep(0.05)

    def give_drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.ended.is_set():
            self.wfile.write(b"X: y\r\n")
            time.sleep(0.05)

    def give_hints(self) -> None:
        """Announce an answer, again and again."""
        while not self.server.ended.is_set():
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            time.sleep(0.05)

    def give_endless(self) -> None:
        self._give(b"", Content_Length=None, Transfer_Encoding="chunked")
        while not self.server.ended.is_set():
            self.wfile.write(CHUNKED_MEGABYTE)

    def give_bomb(self) -> None:
        self._give(gzip.compress(b"0" * (8 << 20)), Content_Encoding="gzip")

    def give_garbage(self) -> None:
        self.wfile.write(b"\0\1\2 garbage\r\n\r\n")

    def give_nothing(self) -> None:
        """Drop the connection."""

    def give_header_bomb(self) -> None:
        self._give(b"", **{f"X_{i}": "y" * 900 for i in range(300)})

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def awkward_server(files: Path) -> Iterator[Any]:
    """Serve on a port of this machine; ``url`` is where, ``asked`` counts requests."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.files, server.asked, server.ended = files, Counter(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.handle_error = lambda *_: None  # clients that hang up
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
