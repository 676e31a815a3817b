"""What all commands share."""

from __future__ import annotations

import subprocess
import sys

from small_catalogs import PROJECT

INTERRUPTED = """
from extract.command_line import new_app, run

app = new_app()

@app.callback()
def command() -> None:
    raise KeyboardInterrupt

run(app, "command")
"""


def test_interrupted_before_the_work_begins_it_says_so() -> None:
    words = (sys.executable, "-c", INTERRUPTED)
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "error: stopped")
