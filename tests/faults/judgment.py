"""What is wrong with a folder that a fault has left: against the truth, never against the writer.

The truth is what runs without faults stored, and it is compared row by row: a row is known by its
id and its picture's content, and has one vector.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from extract.errors import EmbeddingsFileError
from extract.files.file_lock import locked
from extract.refusals import SOUND, TO_DO
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.embeddings_table import EmbeddingsTable
from extract.storage.failures import read_refusals
from tests.faults.small_shop import WIDE, embed

COMPARED = "vectors status row_crc32 content_sha256 size mtime_ns realisation".split()
WRONGS = {
    "unreadable": "a file of the final name that the product does not read",
    "unreadable_hdf5": "the same by plain h5py",
    "torn": "rows shown as finished whose check sum does not fit",
    "untrue": "rows shown as finished with another vector or content than the truth",
    "lost": "rows that were durable and are not finished and true any more",
    "counted_early": "rows counted as durable that are not",
}
WRONGS_AFTER = {
    "resume_failed": "the same command again does not end well",
    "resume_differs": "the file differs from an uninterrupted run's",
    "unexplained": "refused pictures without their line",
    "left_behind": "temporary files, or a lock that is held",
}

Finished = Mapping[str, tuple[int, bytes]]
"""Of finished rows, by id: status and content hash."""


@dataclass
class Truth:
    """What rows are, from runs without faults.

    Parameters
    ----------
    vectors : mapping of (id, content hash) to set of vectors' bytes
    refused : mapping of (id, content hash) to set of status numbers
    """

    vectors: dict[tuple[str, bytes], set[bytes]] = field(default_factory=dict)
    refused: dict[tuple[str, bytes], set[int]] = field(default_factory=dict)

    def learn(self, file: Path) -> Truth:
        """Take in a file that an uninterrupted run wrote."""
        table = read_table(file)
        assert (table.rows.status != TO_DO).all()
        for i, row_id in enumerate(table.ids):
            key = (row_id, table.rows.content_sha256[i].tobytes())
            if table.rows.status[i] == SOUND:
                self.vectors.setdefault(key, set()).add(table.rows.vectors[i].tobytes())
            else:
                self.refused.setdefault(key, set()).add(int(table.rows.status[i]))
        return self

    def holds(self, key: tuple[str, bytes], status: int, vector: bytes) -> bool:
        """Say whether a finished row is what it should be."""
        if status == SOUND:
            return vector in self.vectors.get(key, ())
        return status in self.refused.get(key, ())


def finished_rows(table: EmbeddingsTable, sound: np.ndarray) -> Finished:
    """List the rows that a table shows as finished, torn ones left out."""
    return {
        row_id: (int(status), table.rows.content_sha256[i].tobytes())
        for i, (row_id, status) in enumerate(zip(table.ids, table.rows.status, strict=True))
        if (sound[i] if status == SOUND else status != TO_DO)
    }


def still_true(finished: Finished, shop: Path) -> Finished:
    """Leave out the rows of pictures that changed or went: a run is right to drop those."""
    return {
        row_id: row
        for row_id, row in finished.items()
        if (picture := shop / row_id).is_file()
        and hashlib.sha256(picture.read_bytes()).digest() == row[1]
    }


def judge(file: Path, truth: Truth) -> tuple[Counter[str], Finished]:
    """Count what is wrong with a file as it stands, and list its finished rows."""
    wrong: Counter[str] = Counter()
    if not file.exists():
        return wrong, {}
    try:
        table = read_table(file)
        proven = table.sound()
        finished = finished_rows(table, proven)
    except EmbeddingsFileError:
        return Counter(unreadable=1), {}
    try:
        with h5py.File(file, "r", locking=False) as plain:
            status, vectors = plain["status"][()], plain["embeddings"][()]
            wrong["torn"] += int(np.isnan(vectors[status == SOUND]).any(axis=1).sum())
    except (OSError, KeyError, RuntimeError):
        return Counter(unreadable_hdf5=1), finished
    wrong["torn"] = max(wrong["torn"], int(((table.rows.status == SOUND) & ~proven).sum()))
    for i, row_id in enumerate(table.ids):
        if row_id in finished:
            number, content = finished[row_id]
            vector = vectors[i].tobytes()
            wrong["untrue"] += not truth.holds((row_id, content), number, vector)
    return +wrong, finished


def resume(file: Path, shop: Path, whole: Path, n_dims: int = WIDE) -> Counter[str]:
    """Type the same command again, without a fault, and count what is wrong after it."""
    try:
        report = embed(shop, file, n_dims)
        if report.to_do:
            return Counter(resume_failed=1)
        return compare(file, whole)
    except Exception as error:  # noqa: BLE001 - counted, whatever it is
        print(f"resume: {type(error).__name__}: {error}")
        return Counter(resume_failed=1)


def compare(file: Path, whole: Path) -> Counter[str]:
    """Count what differs from the file of an uninterrupted run, and what lies about."""
    one, other = read_table(file), read_table(whole)
    same = one.ids == other.ids and all(
        getattr(one.rows, name).tobytes() == getattr(other.rows, name).tobytes()
        for name in COMPARED
    )
    labels, true_labels = (read_embeddings(path) for path in (file, whole))
    same &= labels.levels[0].values() == true_labels.levels[0].values()
    wrong = Counter(resume_differs=int(not same))
    wrong["unexplained"] = sum(not refusal["message"] for refusal in read_refusals(one))
    left = {path.name for path in file.parent.iterdir()}
    expected = {f"{file.stem}{end}" for end in (".h5", ".labels.h5", ".lock", ".failures.jsonl")}
    wrong["left_behind"] = len(left - expected) + _held(file)
    return +wrong


def _held(file: Path) -> int:
    try:
        with locked(file):
            return 0
    except EmbeddingsFileError:
        return 1
