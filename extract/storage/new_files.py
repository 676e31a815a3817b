"""Files that a run begins, removed where not one row of them was computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from extract.errors import EmbeddingsFileError, PictureRefused, SurveyStopped
from extract.files.file_lock import locked
from extract.refusals import SOUND, TO_DO
from extract.storage.embeddings_file import read_table
from extract.storage.failures import failures_path
from extract.storage.labels_file import labels_path


@contextmanager
def removing_empty_files(paths: Iterable[Path]) -> Iterator[None]:
    """Remove files that are new and hold nothing when the work ends, and folders made for them.

    A file of which rows are to do stays: the same command goes on with it, but where the work ended
    at its first refused picture.
    """
    new = {path: [each for each in path.parents if not each.exists()] for path in paths}
    new = {path: folders for path, folders in new.items() if not path.exists()}
    try:
        yield
    except (PictureRefused, SurveyStopped):
        for path, folders in new.items():
            if not _holds(path, {SOUND}):
                _take_back(path, folders)
        raise
    for path, folders in new.items():
        if not _holds(path, {SOUND, TO_DO}):
            _take_back(path, folders)


def _holds(path: Path, kinds: set[int]) -> bool:
    try:
        return bool(kinds & set(read_table(path, trusted=True).rows.status.tolist()))
    except EmbeddingsFileError:
        return path.exists()


def _take_back(path: Path, folders: Iterable[Path]) -> None:
    """Remove a file, the files that go with it, and the folders, the innermost first."""
    with locked(path):
        companions = (labels_path(path), failures_path(path), path.with_name(f"{path.stem}.lock"))
        for each in (path, *companions):
            each.unlink(missing_ok=True)
    for folder in folders:
        with suppress(OSError):  # another file lies there
            folder.rmdir()
