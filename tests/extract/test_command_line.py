"""What all commands share."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest
from small_catalogs import PROJECT

from extract.command_line import stop_on_signals

INTERRUPTED = """
from extract.command_line import new_app, run

app = new_app()

@app.callback()
def command() -> None:
    raise KeyboardInterrupt

run(app, "command")
"""


BUSY = """
import hashlib
from extract.command_line import stop_on_signals

with stop_on_signals():
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


def test_signals_are_heard_as_before_once_the_work_is_done() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = threading.active_count()
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert threading.active_count() == threads


def test_interrupted_before_the_work_begins_it_says_so() -> None:
    words = (sys.executable, "-c", INTERRUPTED)
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "error: stopped")
