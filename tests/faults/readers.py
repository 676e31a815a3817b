"""The real readers, each tried in a process of its own, and what came of a file."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analyze.array_cache import ArrayCache
from extract.backbones.weights import read_tensors
from extract.catalog.manifest import ManifestColumns, list_manifest
from extract.errors import SosieError
from extract.storage.embeddings_file import read_embeddings, read_table
from tests.faults.cases import MISSING, READ, REFUSED, Case
from tests.faults.foreign_hdf5 import IDS, LABELS, NAMES, vectors_of
from tests.faults.foreign_others import ARRAY, KEY

SECONDS = 60
MEMORY_BYTES = 3 << 30
"""Beyond what the process holds when it begins."""

PROJECT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Outcome:
    """What came of a file.

    Parameters
    ----------
    what : str
        ``refused``, ``read``, ``missing``, or what went wrong.
    said : str
    megabytes : float
        By which the process grew.
    """

    what: str
    said: str = ""
    megabytes: float = 0.0


def _embeddings(path: Path) -> str:
    """Every row shown as sound must be the row of its id, and the file must say of the others."""
    found, table = read_embeddings(path), read_table(path)
    rows = vectors_of(len(table))
    for row_id, vector in zip(found.ids, found.vectors, strict=True):
        if not np.array_equal(vector, rows[table.ids.index(row_id)]):
            return "a wrong row is shown as sound"
    if len(found) + sum(found.left_out.values()) != len(table):
        return "rows are neither shown nor counted"
    return READ


def _again(path: Path) -> str:
    from extract.backbones.kept_backbones import load_from_provenance

    try:
        load_from_provenance(read_table(path).provenance)
    except SosieError as error:
        raise type(error)(f"{path.stem}: {error}") from error  # it speaks of a model, not a file
    return "built what a file named"


def _labels(path: Path) -> str:
    if (verdict := _embeddings(path)) != READ:
        return verdict
    found = read_embeddings(path)
    rows = [IDS.index(i) for i in found.ids]
    right = [(v.name, v.values()) for v in found.levels] == [
        ("class", tuple(LABELS[i] for i in rows))
    ] and dict(found.columns) == {"name": tuple(NAMES[i] for i in rows)}
    return READ if right else "wrong labels"


def _manifest(path: Path) -> str:
    listed = list_manifest(path, ManifestColumns(label="kind"))
    return READ if len(listed) == 2 and listed.levels else "wrong rows"


def _imagefolder(path: Path) -> str:
    from extract.catalog.imagefolder import list_imagefolder

    for name in ("1.jpg", "2.jpg"):
        (path.parent / name).write_bytes(b"")
    return READ if set(list_imagefolder(path.parent).paths) >= {"1.jpg"} else "wrong rows"


def _weights(path: Path) -> str:
    return READ if list(read_tensors(path)) == ["a"] else "wrong tensors"


def _backbone(path: Path) -> str:
    from extract.backbones.registry import load_backbone

    backbone = load_backbone("timm:test_resnet", weights=str(path))
    return READ if backbone.weights["source"] == "file" else "other weights"


def _array(path: Path) -> str:
    kept = ArrayCache(path, "it is").read(KEY, lambda array, _: array)
    if kept is None:
        return MISSING
    return READ if np.array_equal(kept, ARRAY) else "wrong numbers"


def _hub(path: Path) -> str:
    from huggingface_hub.file_download import constants

    from extract.backbones.hub import cached_on_hub

    constants.HF_HUB_CACHE = str(path)
    cached = cached_on_hub("acme/vit")
    if cached is None or not cached.is_file():
        return MISSING
    return READ if list(read_tensors(cached)) == ["a"] else "wrong tensors"


READERS: dict[str, Callable[[Path], str]] = {
    "embeddings": _embeddings,
    "again": _again,
    "labels": _labels,
    "manifest": _manifest,
    "imagefolder": _imagefolder,
    "weights": _weights,
    "backbone": _backbone,
    "array": _array,
    "hub": _hub,
}


def try_in_child(reader: str, path: Path) -> Outcome:
    """Read in a forked process under limits of time and memory."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.write(theirs, json.dumps(_tried(reader, path)).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hung = number in (signal.SIGALRM, signal.SIGXCPU)
        return Outcome("never ended" if hung else f"crashed, signal {number}")
    return Outcome(*json.loads(said))


def _tried(reader: str, path: Path) -> tuple[str, str, float]:
    signal.alarm(SECONDS)
    os.chdir(path.parent)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, held + MEMORY_BYTES))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        what, said = READERS[reader](path), ""
    except SosieError as error:
        what, said = REFUSED, str(error)
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        what, said = f"{type(error).__name__} is no error of ours", str(error)[:200]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return what, said, grown


def verdict(case: Case, path: Path, outcome: Outcome) -> str | None:
    """Say what is wrong with what came of a file; None where it is as it must be."""
    if outcome.what != case.wanted:
        return f"{outcome.what} where {case.wanted} is wanted: {outcome.said[:200]!r}"
    if outcome.what == REFUSED:
        if not outcome.said.isprintable():
            return f"not one line for people: {outcome.said[:200]!r}"
        if not any(p in outcome.said for p in (str(path), path.stem, "model.safetensors")):
            return f"the file is not named: {outcome.said[:200]!r}"
    if (path.parent / "was-here").exists() or (path / "was-here").exists():
        return "its code was run"
    return None


def run_command(*words: str, cwd: Path) -> Outcome:
    """Run a command as a user does; one line on stderr, or printable lines on stdout."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "HF_HUB_OFFLINE": "1",
            "SOSIE_ROOT": str(cwd),
        },
        capture_output=True,
        timeout=SECONDS * 3,
        check=False,
    )
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    if done.returncode < 0:
        return Outcome(f"crashed, signal {-done.returncode}")
    if "unexpected" in err or "Traceback" in err:
        return Outcome("an error that nobody foresaw", err[:300])
    printable = all(line.isprintable() for line in (out + err).split("\n"))
    if not printable:
        return Outcome("control characters", repr(out + err)[:300])
    return Outcome(READ if done.returncode == 0 else REFUSED, err.rstrip("\n"))
