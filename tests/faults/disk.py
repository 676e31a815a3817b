"""A disk of 8 MB that is full before a run, and one that something else fills during it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from small_catalogs import draw_noise, offline_environment

from tests.faults.judgment import WRONGS, WRONGS_AFTER, Truth, compare, judge, resume
from tests.faults.small_shop import WIDE, draw_shop, embed
from tests.faults.tracing import TrackedRun, start_of
from tests.faults.tracked_run import AT_FIRST_FORWARD, AT_START
from tests.faults.warm_server import WarmServer

SIZE = 8 << 20
FILE = "x.h5"
WRONGS_OF_DISKS = {
    "not_refused": "runs on a full disk that were not refused before the first picture",
    "no_clear_line": "runs without one line that says what is wrong, or with another exit code",
    "stopped": "runs with nothing left to allocate that did not go on",
}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system in memory of 8 MB; this needs the rights of root."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    subprocess.run(words, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(disk: Path, leave: int = 0) -> None:
    """Take all room on a disk but so many bytes."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
        file.truncate(file.tell() - leave)


def run() -> dict[str, Any]:
    """Try both disks."""
    began = time.monotonic()
    wrong = Counter(dict.fromkeys({**WRONGS_OF_DISKS, **WRONGS, **WRONGS_AFTER}, 0))
    said: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, WarmServer() as server:
        scratch = Path(folder)
        with small_disk(scratch / "disk") as disk:
            for leave in (0, 4096, 200_000, 500_000):
                wrong.update(full_before(server, scratch, disk, leave, said))
                (disk / "ballast").unlink()
        for broken in (False, True):
            with small_disk(scratch / f"disk{broken}") as disk:
                wrong.update(full_during(server, scratch, disk, broken, said))
    return {"said": said, "wrong": dict(wrong), "seconds": round(time.monotonic() - began, 1)}


def full_before(
    server: WarmServer, scratch: Path, disk: Path, leave: int, said: dict[str, str]
) -> Counter[str]:
    """Run the real command on a disk without room: it names the bytes needed and free."""
    fill_up(disk, leave)
    workspace = scratch / "workspace"
    if not workspace.exists():
        draw_shop(workspace / "shop", 20)
    words = ["extract", "--images", "shop", "--output", str(disk / FILE)]
    output = scratch / "said"
    process = server.start(words, output, workspace, offline_environment(workspace))
    code = process.wait()
    lines = process.said.splitlines()
    said[f"{leave} bytes left"] = lines[-1].replace(str(disk), "DISK")
    named = re.search(r"error: .* has ([\d,]+) bytes free and x\.h5 needs ([\d,]+)", lines[-1])
    clear = code == 1 and "Traceback" not in process.said and named is not None
    left = {path.name for path in disk.iterdir()} - {"ballast", "x.lock"}
    read = any("pictures to embed" in line for line in lines)
    return Counter(no_clear_line=int(not clear), not_refused=int(read), left_behind=len(left))


def full_during(
    server: WarmServer, scratch: Path, disk: Path, broken: bool, said: dict[str, str]
) -> Counter[str]:
    """Fill the disk once the file is laid out: rows have their room, lines of refusals do not."""
    shop = scratch / f"shop{broken}"
    for i in range(24):
        draw_noise(shop / "hats" / f"{i:02}.png", i)
    if broken:
        for i in (13, 17):
            (shop / "hats" / f"{i:02}.png").write_bytes(b"no picture")
    whole = scratch / f"whole{broken}"
    whole.mkdir()
    embed(shop, whole / FILE)
    truth = Truth().learn(whole / FILE)
    folder = disk / "cache"
    folder.mkdir()
    wrong: Counter[str] = Counter()
    for again in ("", " again"):  # killed at its first slice, and typed again on the full disk
        run = start_of(TrackedRun(server, shop, folder / FILE, scratch))
        run.let_pass(AT_START)
        assert run.wait_until(AT_FIRST_FORWARD), run.process.said
        fill_up(disk)
        if not again:
            run.process.kill()
            run.process.wait()
            continue
        code = run.finish()
        name = "with a refused picture" if broken else "without a refused picture"
        said[f"filled during a run, {name}"] = run.process.said.strip()
        if broken:
            lines = run.process.said.splitlines()
            clear = code == 1 and len(lines) == 1 and "No space left on device" in lines[0]
            wrong["no_clear_line"] += not clear
        else:
            wrong["stopped"] += code != 0
            wrong += compare(folder / FILE, whole / FILE)
    found, finished = judge(folder / FILE, truth)
    wrong += found
    wrong["counted_early"] += max(0, run.board["durable"] - len(finished))
    (disk / "ballast").unlink()
    wrong += resume(folder / FILE, shop, whole / FILE, WIDE)
    shutil.rmtree(folder)
    return wrong
