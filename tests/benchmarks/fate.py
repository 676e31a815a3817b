"""The look-alike service while its catalogue grows and its processes are killed."""

from __future__ import annotations

import asyncio
import html
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from extract.catalog.demo import draw_picture
from tests.benchmarks.serving import environment, proportional_bytes, serving

KINDS = ("Mugs", "Vases", "Watches")
CLIENTS, GROWTHS = 8, 2
FIRST, MORE = 15, 5
"""Pictures of each kind at first, and that each growth adds."""

SENT = 3
"""Pictures that clients send."""

MOST_409_SECONDS = 2.0
MOST_TAKING_SECONDS = 300.0
KILL_SECONDS = 45.0
"""Between two kills, on average; a backbone is loaded again in between."""

MEMORY_PARTS = 10
MOST_TREND = 0.08
"""Of the memory, from the second quarter to the last: with more rows there is a little more."""

NEAR = 1e-5
"""Of a similarity: a picture that is sent is embedded alone, the command's beside others."""

Command = Callable[..., str]
"""Runs the words of a command in a workspace; gives its stdout."""

Serve = Callable[..., AbstractContextManager[Any]]
"""Starts a service by its words in a workspace."""


@dataclass
class Seen:
    """What clients saw.

    Parameters
    ----------
    statuses : Counter of (str, int)
        By what was asked.
    wrong : list of str
        Answers that should not be.
    answers : mapping of str to Counter of str
        Of each product or picture, the answers that came, spelled in one way.
    milliseconds : list of float
    longest_409 : float
        Seconds for which one client got nothing but 409 of a kind.
    """

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    answers: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    milliseconds: list[float] = field(default_factory=list)
    longest_409: float = 0.0


@dataclass
class Fate:
    """What happened to the service, and when, in seconds from the begin.

    Parameters
    ----------
    growths : list of dict
    kills : int
    memory : list of (float, int)
        Bytes of all its processes.
    expected : list of dict
        The command's answers after each state of the catalogue.
    """

    growths: list[dict[str, float]] = field(default_factory=list)
    kills: int = 0
    memory: list[tuple[float, int]] = field(default_factory=list)
    expected: list[dict[str, str]] = field(default_factory=list)


def measure(minutes: float, *, kills: bool = True, per_kind: int = FIRST) -> None:
    """Print as JSON what became of the service; the exit code is 1 where anything was wrong."""
    found = run(60 * minutes, kills=kills, per_kind=per_kind)
    print(json.dumps(found, indent=2))
    if not found["right"]:
        raise SystemExit(1)


def run(
    seconds: float,
    *,
    kills: bool,
    per_kind: int = FIRST,
    growths: int = GROWTHS,
    pause: float = 0.0,
    command: Command | None = None,
    serve: Serve | None = None,
) -> dict[str, Any]:
    """Ask a service for a while in which its catalogue grows; say what was seen.

    Each client pauses so many seconds before it asks again. Commands and the service are started
    from nothing, unless told how.
    """
    command, serve = command or _command, serve or partial(serving, weighed=False)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "workspace"
        _draw(root / "shop", 0, per_kind)
        command(root, "extract", "-q", "--images", "shop")
        sent = _drawn_to_send(Path(temporary))
        ids = _ids(root)
        seen, fate = Seen(), Fate([], 0, [], [_command_says(command, root, ids, sent)])
        with serve(root, "--model", "efficientnet_lite0") as served:
            served.wait_for_uploads()
            _tell(f"{len(ids)} pictures are served")
            pid, url = served.process.pid, f"http://127.0.0.1:{served.port}"
            asked = (per_kind, growths, ids, sent, seconds, kills, pause)
            life = _Life(command, url, pid, root, *asked)
            asyncio.run(life.live(seen, fate))
    return judged(seen, fate, seconds)


@dataclass
class _Life:
    """A service that is asked while its catalogue grows and its processes die."""

    command: Command
    url: str
    pid: int
    root: Path
    per_kind: int
    n_growths: int
    ids: list[str]
    sent: list[Path]
    seconds: float
    kills: bool
    pause: float
    began: float = 0.0
    grown: bool = False

    async def live(self, seen: Seen, fate: Fate) -> None:
        """Go on for the seconds given, and until all growths are served."""
        self.began = time.monotonic()
        asking = (_by_id, _by_picture, _page_and_its_pictures, _product)
        clients = [self._client(asking[i % len(asking)], seen) for i in range(CLIENTS)]
        await asyncio.gather(self._grow(fate), self._kill(fate), self._watch(fate), *clients)

    def _now(self) -> float:
        return time.monotonic() - self.began

    def _going_on(self) -> bool:
        return self._now() < self.seconds or not self.grown

    async def _grow(self, fate: Fate) -> None:
        try:
            for growth in range(self.n_growths):
                at = self.seconds * (growth + 1) / (self.n_growths + 1)
                await asyncio.sleep(max(0.0, at - self._now()))
                fate.growths.append(await self._grow_once(self.per_kind + growth * MORE))
                _tell(f"grown: {fate.growths[-1]}")
                self.grown = growth + 1 == self.n_growths
                asked = (self.command, self.root, self.ids, self.sent)
                said = await asyncio.to_thread(_command_says, *asked)
                fate.expected.append(said)
        finally:
            self.grown = True

    async def _grow_once(self, per_kind: int) -> dict[str, float]:
        began = self._now()
        _draw(self.root / "shop", per_kind, per_kind + MORE)
        await asyncio.to_thread(self.command, self.root, "extract", "-q", "--images", "shop")
        done = self._now()
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            n_images = len(KINDS) * (per_kind + MORE)
            while (await client.get("/api/health")).json()["files"][0]["n_images"] < n_images:
                if self._now() - done > MOST_TAKING_SECONDS:
                    raise SystemExit(f"the new rows are not served after {MOST_TAKING_SECONDS} s")
                await asyncio.sleep(0.1)
        return {"began": began, "ran": done - began, "served_after": self._now() - done}

    async def _kill(self, fate: Fate) -> None:
        drawn = random.Random(0)
        while self.kills and self._going_on():
            await asyncio.sleep(drawn.uniform(0.5, 1.5) * min(KILL_SECONDS, self.seconds / 3))
            below = _below(self.pid)
            if below:
                # a loaded backbone is the heaviest; one time of two anything else may be hit
                victim = drawn.choice([max(below, key=_held), drawn.choice(below)])
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    fate.kills += 1

    async def _watch(self, fate: Fate) -> None:
        while self._going_on():
            fate.memory.append((self._now(), await asyncio.to_thread(proportional_bytes, self.pid)))
            await asyncio.sleep(1)

    async def _client(self, asking: Asking, seen: Seen) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=90) as http:
            client = _Client(http, seen)
            for turn in itertools.count():
                if not self._going_on():
                    return
                await asking(client, self.ids, self.sent, turn)
                await asyncio.sleep(self.pause)


# clients


Asking = Callable[["_Client", list[str], list[Path], int], Awaitable[None]]


@dataclass
class _Client:
    http: httpx.AsyncClient
    seen: Seen
    n_images: int = 0
    since_409: dict[str, float] = field(default_factory=dict)

    async def get(self, kind: str, method: str, path: str, **sent: Any) -> httpx.Response | None:
        """Ask once; None where it is not answered. What should not be is noted."""
        began = time.monotonic()
        try:
            answer = await self.http.request(method, path, **sent)
        except httpx.HTTPError as error:
            self.seen.wrong.append(f"{kind}: {type(error).__name__} after no answer")
            await asyncio.sleep(0.2)
            return None
        now, status = time.monotonic(), answer.status_code
        self.seen.statuses[kind, status] += 1
        if status == 409:
            since = self.since_409.setdefault(kind, began)
            self.seen.longest_409 = max(self.seen.longest_409, now - since)
        else:
            self.since_409.pop(kind, None)
        if status == 200:
            self.seen.milliseconds.append(1e3 * (now - began))
            return answer
        if status == 503 and answer.headers.get("retry-after", "").isdigit():
            await asyncio.sleep(0.5)
        elif status != 409:
            self.seen.wrong.append(f"{kind}: {status} {answer.text[:200]}")
            await asyncio.sleep(0.2)
        return None

    def note(self, key: str, answer: httpx.Response) -> None:
        """Keep what was answered, and see that rows never become fewer again."""
        said = answer.json()
        if said["n_images"] < self.n_images:
            self.seen.wrong.append(f"{said['n_images']} rows after {self.n_images}")
        self.n_images = said["n_images"]
        for query in said["queries"]:
            self.seen.answers[key][_spelled(query, said["n_images"])] += 1


async def _by_id(client: _Client, ids: list[str], _sent: list[Path], turn: int) -> None:
    row_id = ids[turn % len(ids)]
    answer = await client.get("id", "GET", "/api/similar", params={"id": row_id})
    if answer is not None:
        client.note(row_id, answer)


async def _by_picture(client: _Client, _ids: list[str], sent: list[Path], turn: int) -> None:
    path = sent[turn % len(sent)]
    files = {"image": ("a.png", path.read_bytes())}
    answer = await client.get("picture", "POST", "/api/similar", files=files)
    if answer is not None:
        client.note(path.name, answer)


async def _page_and_its_pictures(
    client: _Client, _ids: list[str], _sent: list[Path], turn: int
) -> None:
    page = await client.get("page", "GET", "/", params={"q": KINDS[0]} if turn % 2 else None)
    if page is not None:
        await _pictures(client, page, turn)


async def _product(client: _Client, ids: list[str], _sent: list[Path], turn: int) -> None:
    page = await client.get("product", "GET", "/product", params={"id": ids[turn % len(ids)]})
    if page is not None:
        await _pictures(client, page, turn)


async def _pictures(client: _Client, page: httpx.Response, turn: int) -> None:
    """See that all pictures of a page are of one state of the file, and look at some of them."""
    found = [html.unescape(u) for u in re.findall(r'(?:src|href)="(/picture/[^"]+)"', page.text)]
    if len({url.split("/")[2] for url in found}) > 1:
        client.seen.wrong.append(f"{page.url.path}: pictures of two states on one page")
    for url in found[turn % 7 :: 7]:
        await client.get("thumbnail", "GET", url)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


# judgment


def judged(seen: Seen, fate: Fate, seconds: float) -> dict[str, Any]:
    wrong = [*seen.wrong, *_wrong_answers(seen, fate)]
    if seen.longest_409 > MOST_409_SECONDS:
        wrong.append(f"409 for {seen.longest_409:.1f} s")
    trend, parts = _trend(fate.memory)
    if trend > MOST_TREND:
        wrong.append(f"memory grew by {100 * trend:.0f} %")
    requests: dict[str, dict[str, int]] = defaultdict(dict)
    for (kind, status), n in sorted(seen.statuses.items()):
        requests[kind][str(status)] = n
    p50, p95, p99 = np.quantile(seen.milliseconds or [np.nan], [0.5, 0.95, 0.99])
    return {
        "right": not wrong,
        "wrong": dict(Counter(wrong).most_common(20)),
        "seconds": seconds,
        "requests": dict(requests),
        "milliseconds": {"p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1)},
        "answers_compared": sum(sum(each.values()) for each in seen.answers.values()),
        "longest_409_seconds": round(seen.longest_409, 2),
        "kills": fate.kills,
        "growths": [{k: round(v, 1) for k, v in each.items()} for each in fate.growths],
        "memory_mb": parts,
        "memory_trend": round(trend, 3),
    }


def _wrong_answers(seen: Seen, fate: Fate) -> list[str]:
    """List the answers that the command gives in no state of the catalogue."""
    wrong = []
    for key, answers in seen.answers.items():
        right = [json.loads(each[key]) for each in fate.expected]
        for spelled, n in answers.items():
            if not any(_equal(json.loads(spelled), each) for each in right):
                wrong.append(f"{key}: {n} answers that the command never gives")
    return wrong


def _equal(one: Any, other: Any) -> bool:
    """Compare answers: numbers of the same rows are as near as single pictures' vectors are."""
    same = one[:2] == other[:2] and [hit[0] for hit in one[2]] == [hit[0] for hit in other[2]]
    pairs = zip(one[2], other[2], strict=False)
    return same and all(abs(mine[1] - true[1]) <= NEAR for mine, true in pairs)


def _spelled(query: dict[str, Any], n_images: int) -> str:
    """Spell what an answer says in one way: query, rows, hits with their copies."""
    hits = [[[hit["id"], *hit["copies"]], hit["similarity"]] for hit in query["hits"]]
    text = query["query"] if query["by"] == "id" else "picture"
    return json.dumps([text, n_images, hits])


def _trend(memory: list[tuple[float, int]]) -> tuple[float, list[int]]:
    """Give what the memory grew by from the second quarter to the last, and MB in ten parts."""
    held = np.array([each for _, each in memory], float)
    if len(held) < MEMORY_PARTS:
        return 0.0, [round(each / 1e6) for each in held]
    quarter = len(held) // 4
    before, after = np.median(held[quarter : 2 * quarter]), np.median(held[-quarter:])
    return float(after / before - 1), [
        round(float(np.median(part)) / 1e6) for part in np.array_split(held, MEMORY_PARTS)
    ]


# the catalogue and its states


def _draw(folder: Path, first: int, last: int) -> None:
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for i in range(first, last):
            # new ones sort before those that are there, so that every row gets another number
            path = folder / kind / f"{999 - i:03}.png"
            draw_picture(kind, random.Random(i)).save(path)


def _drawn_to_send(folder: Path) -> list[Path]:
    paths = [folder / f"sent{i}.png" for i in range(SENT)]
    for i, path in enumerate(paths):
        file = io.BytesIO()
        draw_picture(KINDS[i], random.Random(5_000 + i)).resize((640, 480)).save(file, "PNG")
        path.write_bytes(file.getvalue())
    return paths


def _command(root: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=root, env=environment(), check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout


def _ids(root: Path) -> list[str]:
    return sorted(p.relative_to(root / "shop").as_posix() for p in root.glob("shop/*/*.png"))


def _command_says(command: Command, root: Path, ids: list[str], sent: list[Path]) -> dict[str, str]:
    """Ask the command about everything that clients ask about."""
    asked = [*ids, *map(str, sent)]
    words = [word for each in asked for word in ("--query", each)]
    said = json.loads(command(root, "analyze", "similar", "-q", "--json", *words))
    shutil.rmtree(root / "results", ignore_errors=True)
    keys = [*ids, *(path.name for path in sent)]
    pairs = zip(keys, said["queries"], strict=True)
    return {key: _spelled(query, said["n_images"]) for key, query in pairs}


# processes


def _below(pid: int) -> list[int]:
    """List the processes below another."""
    found, left = [], [pid]
    while left:
        for task in Path(f"/proc/{left.pop()}/task").glob("*/children"):
            try:
                children = list(map(int, task.read_text().split()))
            except OSError:
                continue
            found += children
            left += children
    return found


def _held(pid: int) -> int:
    """Bytes that a process has to itself."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
