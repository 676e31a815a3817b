"""A process of its own leaves the terminal's signals to its parent, from its first moment on."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from extract.loading.own_program import SIGNALS, start_program

SERVE = """
import os, signal, time

os.write(int(os.environ["READY"]), b"+")  # it imports for seconds
time.sleep(0.2)

def serve(handle):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    os.write(handle, b"served")
"""


def test_a_signal_while_it_imports_waits_until_it_has_its_own_handlers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slowly_imported.py").write_text(SERVE)
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    (ours, theirs), (begun, begins) = socket.socketpair(), os.pipe()
    monkeypatch.setenv("READY", str(begins))
    with ours, theirs:
        process = start_program("slowly_imported", theirs.fileno(), [begins])
        assert os.read(begun, 1) == b"+"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert ours.recv(6) == b"served"
    os.close(begun)
    os.close(begins)
    assert capfd.readouterr().err == ""
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert not before & set(SIGNALS)
