"""The look-alike service as a user starts it: a process of its own, on a port that is free."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from small_catalogs import PROJECT, offline_environment

from tests.faults.warm_server import WarmServer, WarmService

STARTING_SECONDS = 300
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that speak without TLS: to read the authorities takes longer than what is asked."""


@dataclass(eq=False)
class Served:
    """A running service.

    Parameters
    ----------
    process : Popen
    said : dict
        What it printed when it began.
    log : Path
        Its stderr.
    """

    process: subprocess.Popen[bytes] | WarmService
    said: dict[str, Any]
    log: Path

    @property
    def url(self) -> str:
        parts = urlsplit(self.said["url"])
        return f"http://127.0.0.1:{parts.port}"

    @property
    def port(self) -> int:
        found = urlsplit(self.url).port
        assert found is not None
        return found

    def client(self, **beside: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, verify=NO_AUTHORITIES, **beside)

    def logged(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_uploads(self) -> None:
        """Wait until the backbones are loaded."""
        until = time.monotonic() + STARTING_SECONDS
        with self.client() as client:
            while any(
                each["uploads"] == "loading" for each in client.get("/api/health").json()["files"]
            ):
                assert time.monotonic() < until
                time.sleep(0.2)

    def raw(self, sent: bytes, *, seconds: float = 20) -> bytes:
        """Send bytes as they are, and read until the service hangs up or falls silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(sent)
            return read_all(connection)

    def stop(self) -> int:
        """End it as a terminal does, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side hangs up or falls silent."""
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except TimeoutError:
        pass
    return found


@contextmanager
def serving(
    root: Path,
    *words: str,
    warm: WarmServer | None,
    env: Mapping[str, str] | None = None,
    torch: bool = True,
) -> Iterator[Served]:
    """Start ``python -m analyze serve`` in a workspace; end it with the block.

    By a warm server it and the processes it begins load nothing anew, which takes most of a start.
    Without torch no backbone loads: what is asked by id is answered as ever.
    """
    command = ["analyze", "serve", "--port", "0", "--json", "-v", *words]
    environment = {**offline_environment(root), "PYTHONPATH": str(PROJECT), **(env or {})}
    with tempfile.TemporaryDirectory() as folder:
        said, log = Path(folder) / "said", Path(folder) / "log"
        process: subprocess.Popen[bytes] | WarmService
        if warm is not None:
            without = () if torch else ("torch",)
            process = warm.serve(command, said, log, root, environment, without=without)
        else:
            assert torch, "it is there where nothing is forked"
            with said.open("w") as output, log.open("w") as errors:
                process = subprocess.Popen(
                    [sys.executable, "-m", *command],
                    cwd=root,
                    env=environment,
                    stdout=output,
                    stderr=errors,
                )
        try:
            yield Served(process, json.loads(_first_line(process, said, log)), log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _first_line(process: subprocess.Popen[bytes] | WarmService, said: Path, log: Path) -> str:
    """Wait for what a service says when it listens."""
    while True:
        ended = process.poll() is not None
        line, end, _ = said.read_text().partition("\n") if said.exists() else ("", "", "")
        if end:
            return line
        assert not ended, log.read_text()
        time.sleep(0.02)
