"""A disk that fails while HDF5 writes: an error, nothing left behind, and the process lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import PROJECT

from extract.errors import EmbeddingsFileError
from extract.files.hdf5_output import replaced

WITH_LIMITS = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from extract.errors import EmbeddingsFileError
from extract.files.hdf5_output import replaced
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
for limit in (0, 100, 2_000, 3_000, 5_000, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with replaced(path) as file:
            file.attrs["name"] = "x" * 1_000
            for name in "ab":
                file.create_group(name).create_dataset("numbers", data=np.arange(2_000))
    except EmbeddingsFileError as error:
        print(error)
"""


def test_a_failing_disk_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"before")
    words = (sys.executable, "-c", WITH_LIMITS, str(path))
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert len(said) == 6
    assert all("x.h5: File too large; write elsewhere" in line for line in said)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def write_half(path: Path) -> None:
    with replaced(path) as file:
        file["numbers"] = np.arange(5)
        raise OSError("the older file cannot be read")


def test_what_fails_while_it_is_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"before")
    with pytest.raises(EmbeddingsFileError, match="cannot write"):
        write_half(path)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]
