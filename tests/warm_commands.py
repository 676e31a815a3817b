"""Commands typed in this process, without the seconds that their libraries take to load.

What a command prints, what it writes and its exit code are those of a process of its own: it takes
arguments, folder and environment as a shell gives them. What ends by a signal or is started beside
another command is started by the warm server of tests/faults, or from nothing.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from typed_commands import built_once, signals_as_they_were
from warm_backbones import loaded_once


def run_here(
    words: tuple[str, ...], cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Type ``python -m <words>`` in this process; leave the process as it was."""
    assert threading.current_thread() is threading.main_thread(), "a process has one folder"
    main = importlib.import_module(f"{words[0]}.__main__").main
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, ExitStack() as kept:
        for each in (
            _place(cwd, env),
            _streams(out, err),
            _logging(),
            signals_as_they_were(),
            _warnings(),
            loaded_once(),
            built_once(),
        ):
            kept.enter_context(each)
        threads = torch.get_num_threads()
        sys.argv = ["python -m", *words[1:]]
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code
        except BaseException:  # noqa: BLE001 - told as Python tells it
            traceback.print_exc()
            code = 1
        finally:
            torch.set_num_threads(threads)
        said = [_read(stream) for stream in (sys.stdout, sys.stderr)]
    assert isinstance(code, int)
    return subprocess.CompletedProcess(words, code, *said)


def _read(stream: object) -> str:
    assert isinstance(stream, io.TextIOWrapper)
    stream.flush()
    stream.buffer.seek(0)
    return stream.buffer.read().decode(errors="surrogateescape")


@contextmanager
def _place(cwd: Path, env: Mapping[str, str]) -> Iterator[None]:
    folder, environment, arguments = Path.cwd(), dict(os.environ), sys.argv
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = arguments


@contextmanager
def _streams(*files: object) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(file, "utf-8", write_through=True)  # type: ignore[type-var]
        for file in files
    )
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.detach()
        sys.stdout, sys.stderr = before


@contextmanager
def _logging() -> Iterator[None]:
    """Begin without a handler, as a process does: then the command logs to stderr."""
    loggers = [logging.getLogger(), logging.getLogger("sosie")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    for logger in loggers:
        logger.handlers[:] = []
    loggers[0].setLevel(logging.WARNING)
    loggers[1].setLevel(logging.NOTSET)
    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers


@contextmanager
def _warnings() -> Iterator[None]:
    """Say on stderr what Python says there unasked, and no more."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for unsaid in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
            warnings.simplefilter("ignore", unsaid)
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.showwarning = _say
        yield


def _say(message: Warning | str, category: type[Warning], file: str, line: int, *_: object) -> None:
    sys.stderr.write(warnings.formatwarning(message, category, file, line))
