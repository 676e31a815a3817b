"""What all commands share."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from small_catalogs import PROJECT
from typed_commands import signals_as_they_were

from extract.command_line import new_app, run
from extract.errors import EmbeddingsFileError
from extract.storage.embeddings_file import read_table
from extract.workspace import Workspace

INTERRUPTED = """
from extract.command_line import new_app, run
from extract.storage.embeddings_file import read_table
from extract.errors import EmbeddingsFileError

app = new_app()

@app.callback()
def command() -> None:
    raise KeyboardInterrupt

run(app, "command")
"""


BUSY = """
import hashlib
from extract.command_line import new_app, run
from extract.storage.embeddings_file import read_table
from extract.errors import EmbeddingsFileError
from extract.stopping import stop_on_signals
from extract.workspace import Workspace

with stop_on_signals(print):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000_000)  # half a minute in one call
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_ends_a_run_at_once_that_is_busy_in_a_library(number: signal.Signals) -> None:
    words = (sys.executable, "-c", BUSY)
    with subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)  # until it is busy
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(number)
        try:
            assert process.wait(5) in (128 + number, -number)
        finally:
            process.kill()


AS_BEFORE = """
import signal, threading
from extract.stopping import NUMBERS, stop_on_signals

before = [signal.getsignal(number) for number in NUMBERS]
threads = threading.active_count()
with stop_on_signals(print) as stop:
    signal.raise_signal(signal.SIGTERM)
    assert stop
assert [signal.getsignal(number) for number in NUMBERS] == before
assert signal.set_wakeup_fd(-1) == -1
assert threading.active_count() == threads
"""


def test_signals_are_heard_as_before_once_the_work_is_done() -> None:
    subprocess.run((sys.executable, "-c", AS_BEFORE), cwd=PROJECT, check=True, timeout=60)


def test_interrupted_before_the_work_begins_it_says_so() -> None:
    words = (sys.executable, "-c", INTERRUPTED)
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "error: stopped")


WHILE_IT_LOADS = """
from extract import __main__ as extract

extract.build_app = lambda: os.kill(os.getpid(), number) or time.sleep(9)
extract.main()
"""
IN_A_LIBRARY = """
def command() -> None:
    try:
        os.kill(os.getpid(), number)
        time.sleep(9)
    except KeyboardInterrupt:
        raise ImportError("what a library made of it") from None

app = new_app()
app.callback()(command)
run(app, "command")
"""
AS_IT_ENDS = """
atexit.register(lambda: os.kill(os.getpid(), number) or time.sleep(9))
app = new_app()
app.callback()(lambda: None)
run(app, "command")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [WHILE_IT_LOADS, IN_A_LIBRARY, AS_IT_ENDS])
def test_told_to_stop_at_any_moment_it_says_so_in_one_line(
    number: signal.Signals, moment: str
) -> None:
    code = f"""
import atexit, os, signal, sys, time
from extract.command_line import new_app, run
from extract.storage.embeddings_file import read_table
from extract.errors import EmbeddingsFileError
number = {int(number)}
sys.argv = ["command"]
{moment}"""
    done = subprocess.run(
        (sys.executable, "-c", code), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    said = (128 + number, "", "error: stopped")
    assert (done.returncode, done.stdout, done.stderr.strip()) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "Permission denied; let this user read and write there, or choose"),
        (errno.ENOTDIR, "Not a directory; look what lies there, or choose"),
    ],
)
def test_a_folder_that_the_system_refuses_is_said_with_a_way_out(
    number: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused() -> None:
        raise OSError(number, os.strerror(number), "cache/embeddings")

    app = new_app()
    app.callback()(refused)
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as ended, signals_as_they_were():
        run(app, "command")
    assert ended.value.code == 1
    line = capsys.readouterr().err
    assert line == f"error: cache/embeddings: {said} a workspace with --root DIR\n"


def test_closed_folders_and_files_are_not_taken_for_missing_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.stored_embeddings() == ()
    stored = workspace.embeddings_file("shop", "tiny", "0" * 8)
    stored.parent.mkdir(parents=True)
    stored.touch()
    (stored.parent.parent / "a file").touch()
    assert workspace.stored_embeddings() == workspace.stored_embeddings("shop") == (stored,)
    closed = Mock(side_effect=PermissionError(errno.EACCES, "Permission denied", "closed"))
    monkeypatch.setattr("h5py.File", closed)
    with pytest.raises(EmbeddingsFileError, match="Permission denied; let this user read it"):
        read_table(stored, trusted=True)
    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(PermissionError):
        workspace.stored_embeddings()


def test_no_error_or_traceback_holds_a_password() -> None:
    failing = """
import typer
from extract.command_line import new_app, run, set_up
app = new_app()

@app.callback()
def command() -> None:
    set_up(2, False)
    raise ValueError("cannot reach " + "https://me:{}@shop.example/a.zip".format("s3cr" + "3t"))

run(app, "command")
"""
    done = subprocess.run(
        [sys.executable, "-c", failing], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("https://shop.example/a.zip") == 2
    assert "Traceback" in done.stderr
    assert "s3cr3t" not in done.stderr
