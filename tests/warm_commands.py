"""Commands in processes of their own, forked from one that has loaded the large libraries.

A process that runs ``python -m extract`` spends most of its time importing them; here each begins
where that has been done. What it does from there on is the same: arguments, folder, environment,
output, exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

LIBRARIES = "torch timm timm.data h5py sklearn.cluster openTSNE faiss seaborn".split()

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(LIBRARIES)


def run_warm(
    words: tuple[str, ...], cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m <words>`` as :func:`subprocess.run` would, output captured as text."""
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("out", "err")]
        process = _server.Process(target=_become, args=(words, cwd, dict(env), said))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(words, timeout)
        out, err = (path.read_text(errors="surrogateescape") for path in said)
        return subprocess.CompletedProcess(words, process.exitcode or 0, out, err)


def _become(words: tuple[str, ...], cwd: Path, env: dict[str, str], said: list[Path]) -> None:
    for number, path in enumerate(said, start=1):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
