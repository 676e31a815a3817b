"""The look-alike service under load: how many a second, how late, in how much memory."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from extract.catalog.catalog import Catalog, Level
from extract.storage.embeddings import Provenance, row_crc32
from extract.storage.embeddings_file import read_table
from extract.storage.embeddings_table import Rows, blank_fields
from extract.storage.labels_file import labels_path, store_labels
from extract.storage.layout import lay_out
from extract.storage.row_writer import RowWriter
from tests.benchmarks.lookup import draw
from tests.benchmarks.process_costs import processor_in_words

CLIENTS, SECONDS = 16, 10.0
CATEGORIES = 20
ROWS_AT_ONCE = 10_000
UPLOADS = 60
SLOW = 100


@dataclass
class Tally:
    """What clients saw.

    Parameters
    ----------
    milliseconds : list of float
    statuses : Counter
    seconds : float
    """

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.milliseconds + other.milliseconds,
            self.statuses + other.statuses,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        some = np.array(self.milliseconds or [np.nan])
        p50, p95, p99 = np.quantile(some, [0.5, 0.95, 0.99])
        rate = len(self.milliseconds) / self.seconds if self.seconds else 0.0
        counts = ", ".join(f"{n} x {status}" for status, n in sorted(self.statuses.items()))
        return f"{rate:.0f} a second, p50 {p50:.1f} ms, p95 {p95:.1f}, p99 {p99:.1f} ({counts})"


def measure(n_rows: int, n_dims: int, soak_minutes: float) -> None:
    """Print what the service does under load, on the machine that makes the load too."""
    print(f"{processor_in_words()}; clients on the same machine")
    with tempfile.TemporaryDirectory() as temporary:
        _large(Path(temporary) / "large", n_rows, n_dims)
        _small(Path(temporary) / "small", soak_minutes)


def _large(root: Path, n_rows: int, n_dims: int) -> None:
    """Many rows: what is static, and look-ups by row."""
    ids = _lay_out(root, n_rows, n_dims)
    for index in ("auto", "flat"):
        with serving(root, "--index", index, "--recall", "0.98") as served:
            print(f"{n_rows:,} rows of {n_dims}, index {served.index}:", flush=True)
            if index == "auto":
                print(f"  static, {CLIENTS} clients: {_load(served, ['/static/style.css'])}")
                print(f"  GET /, {CLIENTS} clients: {_load(served, ['/'])}", flush=True)
            rng = np.random.default_rng(0)
            some = [f"/api/similar?id={ids[i]}" for i in rng.choice(n_rows, 5000)]
            for clients in (1, 8, CLIENTS):
                print(f"  look-ups by row, {clients} clients: {_load(served, some, clients)}")
            print(f"  memory: {served.memory()}", flush=True)


def _small(root: Path, soak_minutes: float) -> None:
    """Real pictures: uploads, hostile ones, slow clients, and time."""
    lay_out_demo(root)
    with serving(root) as served:
        served.wait_for_uploads()
        print(f"demo, {served.index}, efficientnet_lite0:", flush=True)
        photo = as_form(draw_photo((1200, 900)))
        for what, body in (("1 Mpx", photo), ("12 Mpx", as_form(draw_photo((4000, 3000))))):
            tally = _load(served, ["/similar"], 1, body=body, most=UPLOADS)
            print(f"  upload of {what} to the page with its hits, one client: {tally}", flush=True)
        hostile = [as_form(each) for each in hostile_files()]
        with _load_beside(served, ["/api/similar"], 4, hostile) as beside:
            tally = _load(served, ["/"], 1)
        print(f"  GET / while 4 clients send bombs: {tally}; bombs: {beside[0]}", flush=True)
        with _load_beside(served, ["/api/similar"], 24, [photo]) as beside:
            tally = _load(served, ["/"], 1)
        print(f"  GET / while 24 clients send pictures: {tally}; pictures: {beside[0]}", flush=True)
        with _slow_clients(served):
            tally = _load(served, ["/"], 1)
        print(f"  GET / beside {SLOW} slow clients: {tally}; memory: {served.memory()}", flush=True)
        if soak_minutes:
            _soak(served, photo, soak_minutes)


def _soak(served: _Served, photo: bytes, minutes: float) -> None:
    """Eight clients for a while: six walk the catalogue, two send pictures."""
    page = served.get("/").decode()
    urls = [part.partition('"')[0] for part in page.split('href="')[1:]]
    products = [url.replace("&amp;", "&") for url in urls if url.startswith("/product")]
    pictures = [part.partition('"')[0].replace("&amp;", "&") for part in page.split('src="')[1:]]
    pictures = [url for url in pictures if url.startswith("/picture")]
    walks, seconds = ["/", *products, *pictures], 6 * minutes
    tally, uploads, memory = Tally(), Tally(), [served.held()]
    for _ in range(10):
        with _load_beside(served, ["/similar"], 2, [photo], seconds) as beside:
            tally += _load(served, walks, 6, seconds=seconds)
        uploads += beside[0]
        memory.append(served.held())
    print(f"  {minutes:g} minutes at 8 clients: {tally}; uploads: {uploads}")
    held = ", ".join(f"{each / 1e6:.0f}" for each in memory)
    print(f"  MB before it and after each tenth of it: {held}", flush=True)


# the service


@dataclass
class _Served:
    process: subprocess.Popen[str]
    port: int
    index: str
    peak: int = 0
    done: bool = False

    def held(self) -> int:
        """Bytes that it holds now."""
        now = proportional_bytes(self.process.pid)
        self.peak = max(self.peak, now)
        return now

    def memory(self) -> str:
        return f"{self.held() / 1e6:.0f} MB now, {self.peak / 1e6:.0f} at the most"

    def get(self, path: str) -> bytes:
        return asyncio.run(_one_request(self.port, path))

    def wait_for_uploads(self) -> None:
        while b'"loading"' in self.get("/api/health"):
            time.sleep(0.2)

    def watch(self) -> None:
        while not self.done:
            self.held()
            time.sleep(0.2)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path.cwd()), "HF_HUB_OFFLINE": "1"}


def lay_out_demo(root: Path) -> None:
    """Draw and embed the demo catalogue."""
    root.mkdir()
    command = [sys.executable, "-m", "extract", "-q"]
    subprocess.run(command, cwd=root, env=environment(), stdout=subprocess.DEVNULL, check=True)


@contextmanager
def serving(
    root: Path, *words: str, module: str = "analyze", weighed: bool = True
) -> Iterator[_Served]:
    """Start the service in a workspace; end it with the block.

    It is weighed all the time, for its peak, unless told not to: that takes a third of a core.
    """
    command = [sys.executable, "-m", module, "serve", "--port", "0", "--json", "-q", *words]
    process = subprocess.Popen(
        command, cwd=root, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    served = _Served(process, urlsplit(said["url"]).port or 0, said["files"][0]["index"])
    watching = threading.Thread(target=served.watch)
    if weighed:
        watching.start()
    try:
        yield served
    finally:
        served.done = True
        if weighed:
            watching.join()
        process.terminate()
        process.wait()


def proportional_bytes(pid: int) -> int:
    """Bytes of a process and all below it, memory that they share counted once."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    total, left = 0, [pid]
    while left:
        each = left.pop()
        left += children.get(each, [])
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


# the load


def _load(
    served: _Served,
    paths: Sequence[str],
    clients: int = CLIENTS,
    *,
    seconds: float = SECONDS,
    body: bytes | None = None,
    most: int | None = None,
) -> Tally:
    """Ask from a process of its own, each client one request after the other."""
    with _load_beside(
        served, paths, clients, [body] if body else None, seconds, most=most, wait=True
    ) as found:
        pass
    return found[0]


@contextmanager
def _load_beside(
    served: _Served,
    paths: Sequence[str],
    clients: int,
    bodies: Sequence[bytes] | None = None,
    seconds: float = SECONDS,
    *,
    most: int | None = None,
    wait: bool = False,
) -> Iterator[list[Tally]]:
    """Ask while the block runs; what came of it is there after it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    limit = most or 10**9
    child = context.Process(
        target=_ask, args=(theirs, served.port, list(paths), clients, bodies, seconds, limit)
    )
    child.start()
    found: list[Tally] = []
    ours.recv()  # it begins now
    try:
        yield found
    finally:
        if not wait:
            ours.send("enough")
        found.append(ours.recv())
        child.join()


def _ask(
    told: multiprocessing.connection.Connection,
    port: int,
    paths: list[str],
    clients: int,
    bodies: list[bytes] | None,
    seconds: float,
    most: int,
) -> None:
    tally = Tally()
    told.send("begun")

    async def all_clients() -> None:
        until = time.perf_counter() + seconds
        turn = itertools.count()

        async def one() -> None:
            while time.perf_counter() < until and not told.poll():
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    while time.perf_counter() < until and not told.poll():
                        i = next(turn)
                        if i >= most:
                            return
                        request = _request(
                            paths[i % len(paths)], bodies and bodies[i % len(bodies)]
                        )
                        began = time.perf_counter()
                        writer.write(request)
                        status, _, goes_on = await _answer(reader)
                        tally.milliseconds.append(1e3 * (time.perf_counter() - began))
                        tally.statuses[status] += 1
                        if status == 503:
                            await asyncio.sleep(0.2)
                        if not goes_on:
                            break
                    writer.close()
                except (OSError, asyncio.IncompleteReadError):
                    tally.statuses[0] += 1

        await asyncio.gather(*(one() for _ in range(clients)))

    began = time.perf_counter()
    asyncio.run(all_clients())
    tally.seconds = time.perf_counter() - began
    told.send(tally)


def _request(path: str, body: bytes | None) -> bytes:
    if not body:
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length), b"connection: close" not in head


async def _one_request(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request(path, None))
    _, body, _ = await _answer(reader)
    writer.close()
    return body


@contextmanager
def _slow_clients(served: _Served) -> Iterator[None]:
    import socket

    held = []
    head = b"POST /api/similar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
    for i in range(SLOW):
        held.append(socket.create_connection(("127.0.0.1", served.port)))
        held[-1].sendall((b"GET / HT", head)[i % 2])
    try:
        yield
    finally:
        for each in held:
            each.close()


# what is served and sent


def _lay_out(root: Path, n_rows: int, n_dims: int) -> tuple[str, ...]:
    """Write an embeddings file of rows that are drawn, without pictures."""
    ids = tuple(f"{i:08}" for i in range(n_rows))
    codes = np.random.default_rng(0).integers(0, CATEGORIES, n_rows).astype(np.int32)
    level = Level("class", tuple(f"class {i:02}" for i in range(CATEGORIES)), codes)
    catalog = Catalog("drawn", root, ids, ids, (level,))
    path = root / "cache" / "embeddings" / "drawn" / "drawn-00000000.h5"
    how = {"decoder": "reference", "dtype": "fp32", "runtime": "eager", "device": "cpu"}
    lay_out(path, catalog, Provenance({"backbone": "drawn"}, (how,)), n_dims)
    store_labels(labels_path(path), catalog)
    with tempfile.TemporaryDirectory() as temporary:
        draw(Path(temporary), n_rows, n_dims)
        drawn = np.load(Path(temporary) / "rows.npy", mmap_mode="r")
        writer = RowWriter(read_table(path))
        for first in range(0, n_rows, ROWS_AT_ONCE):
            places = np.arange(first, min(first + ROWS_AT_ONCE, n_rows))
            rows = Rows(vectors=np.array(drawn[places]), **blank_fields(len(places)))
            rows.status[:] = 1
            hashes = np.zeros((len(places), 32), np.uint8)
            hashes[:, :8] = (places + 1).astype("<u8")[:, None].view(np.uint8)
            rows.content_sha256[:] = hashes
            for i, place in enumerate(places.tolist()):
                rows.row_crc32[i] = row_crc32(ids[place], hashes[i].tobytes(), rows.vectors[i])
            writer.write(places, rows)
        writer.sync()
        writer.close()
    return ids


def draw_photo(size: tuple[int, int]) -> bytes:
    """Draw a JPEG that is neither smooth nor noise."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


def hostile_files() -> list[bytes]:
    """Make small files of many pixels, and some that are none."""
    from struct import pack

    def png(width: int, height: int) -> bytes:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

        packer = zlib.compressobj(9)
        row = bytes(1 + width)
        data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
        header = pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + parts

    return [png(30_000, 30_000), png(7_000, 7_000), png(1, 30_000), png(7_200, 7_200), b"no"]


def as_form(content: bytes) -> bytes:
    """Put a picture into a form."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    return head + content + b"\r\n--x--\r\n"
