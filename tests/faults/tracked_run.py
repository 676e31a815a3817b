"""A real run that can be watched: it tells where it is, waits to be traced, and counts its work.

``python -m tests.faults.tracked_run JOB`` calls the product's own function and ends as its command
does, with its exit codes and its one line of error.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from extract.inference.forward_pass import ForwardPass, Launched
from extract.pipeline.monitor import Monitor

AT_START, AT_FIRST_FORWARD = 1, 2
LONGEST_WAIT = 60.0


class Board:
    """Numbers that a run and its watcher share in a file; they outlive the run."""

    NAMES = ("reached", "may_pass", "forwarded", "durable", "thread0", "thread1", "thread2")

    def __init__(self, path: Path, *, new: bool = False) -> None:
        if new:
            path.write_bytes(bytes(8 * len(self.NAMES)))
        self._numbers = np.memmap(path, np.int64, "r+", shape=(len(self.NAMES),))

    def __getitem__(self, name: str) -> int:
        return int(self._numbers[self.NAMES.index(name)])

    def __setitem__(self, name: str, value: int) -> None:
        self._numbers[self.NAMES.index(name)] = value

    def stop_at(self, place: int) -> None:
        """Say where this run is, and wait until it may pass."""
        self["reached"] = place
        end = time.monotonic() + LONGEST_WAIT
        while self["may_pass"] < place:
            if time.monotonic() > end:
                os.kill(os.getpid(), signal.SIGKILL)  # whoever watches is gone
            time.sleep(0.001)


class Telling(Monitor):
    """Counts durable rows on the board, and in a file whose writes stand in a recording."""

    def __init__(self, board: Board, progress: Path | None) -> None:
        self._board = board
        self._file = None if progress is None else os.open(progress, os.O_WRONLY | os.O_CREAT)

    def start(self, *, n_done: int, **told: Any) -> None:
        self._tell(n_done)

    def finished(self, n_rows: int) -> None:
        self._board["durable"] += n_rows
        self._tell(n_rows)

    def _tell(self, n_rows: int) -> None:
        if self._file is not None:
            os.write(self._file, b"%d" % n_rows)


def watched(board: Board, seconds: float) -> type[ForwardPass]:
    """Make a forward pass that counts the pictures it is given, and takes its time."""

    class Watched(ForwardPass):
        def __init__(self, backbone: Any, execution_config: Mapping[str, Any]) -> None:
            super().__init__(backbone, execution_config)
            self._real, self.launch = self.launch, self._watched

        def _watched(self, pixels: np.ndarray, _batch: int = 0) -> Launched:
            if board["reached"] < AT_FIRST_FORWARD:
                names = [
                    t.native_id
                    for t in threading.enumerate()
                    if t is not threading.main_thread() and not t.name.startswith("decode")
                ]
                for i, number in enumerate(names):
                    board[f"thread{i}"] = number or 0
                board.stop_at(AT_FIRST_FORWARD)
            launched = self._real(pixels)
            board["forwarded"] += int(pixels.any(axis=(1, 2, 3)).sum())
            time.sleep(seconds)
            return launched

    return Watched


def plant(name: str) -> None:
    """Make the writer wrong in one way, to show that what is wrong is found."""
    from extract.storage.row_writer import RowWriter

    def nothing(_file: int) -> None:
        pass

    if name == "no_fdatasync":
        os.fdatasync = nothing
    elif name == "no_fsync":
        os.fsync = nothing
    elif name == "status_before_vectors":
        right, sync = os.fdatasync, RowWriter.sync

        def wrong(self: RowWriter) -> int:
            def skip_once(_file: int) -> None:
                os.fdatasync = right

            os.fdatasync = skip_once
            try:
                return sync(self)
            finally:
                os.fdatasync = right

        RowWriter.sync = wrong  # type: ignore[method-assign]
    else:
        raise ValueError(f"nothing is wrong by the name {name!r}")


def main(job: dict[str, Any]) -> None:
    from extract.catalog.catalog import list_folder
    from extract.pipeline import loop as one_pass
    from extract.pipeline.extraction import extract_embeddings
    from tests.faults.small_shop import OPTIONS, wide_backbone

    board = Board(Path(job["board"]))
    if job.get("plant"):
        plant(job["plant"])
    progress = Path(job["progress"]) if job.get("progress") else None
    monitor = Telling(board, progress)
    one_pass.ForwardPass = watched(board, job.get("seconds", 0))  # type: ignore[misc]
    backbone = wide_backbone(job["n_dims"])
    catalog = list_folder(Path(job["shop"]))
    board.stop_at(AT_START)
    extract_embeddings(
        catalog,
        backbone,
        Path(job["file"]),
        options=OPTIONS,
        monitor=monitor,
    )


def leave(code: int) -> None:
    """End the process as Python does, but for taking its thousands of modules apart."""
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    ctypes.CDLL(None).exit(code)  # where HDF5 closes what is still open


if __name__ == "__main__":
    from extract import command_line

    try:
        command_line.run(lambda **_: main(json.loads(sys.argv[1])), "python -m extract")  # type: ignore[arg-type]
    except SystemExit as end:
        leave(int(end.code or 0))
