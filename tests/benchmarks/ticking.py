"""``python -m analyze`` whose service notes how late each millisecond comes to its loop."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from analyze.lookup.http import server

FILE = "SOSIE_BENCHMARK_TICKS"
"""Names the file in the environment, of float64: the moment of a tick, how late it came, and what
the loop's thread itself worked since the last one, whatever else the machine did meanwhile."""

TICK_SECONDS = 0.001
TICKS_AT_ONCE = 100


def read_ticks(file: Path) -> np.ndarray:
    """Read what was noted; ndarray of shape (n_ticks, 3), in seconds."""
    return np.frombuffer(file.read_bytes()).reshape(-1, 3)


async def tick(file: Path) -> None:
    """Note every tick until cancelled."""
    noted: list[float] = []
    worked = time.thread_time()
    with file.open("ab", buffering=0) as out:
        while True:
            planned = time.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            now, before, worked = time.monotonic(), worked, time.thread_time()
            noted += now, now - planned, worked - before
            if len(noted) >= 3 * TICKS_AT_ONCE:
                out.write(np.array(noted).tobytes())
                noted.clear()


def main() -> None:
    """Run the command."""
    from analyze.__main__ import main as run

    serve = server.serve

    def with_ticks(app: Any, *words: Any, **beside: Any) -> int:
        async def ticking(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "lifespan":
                await app(scope, receive, send)
                return
            ticks = asyncio.create_task(tick(Path(os.environ[FILE])))
            await app(scope, receive, send)
            ticks.cancel()

        return serve(ticking, *words, **beside)

    server.serve = with_ticks
    run()


if __name__ == "__main__":
    main()
