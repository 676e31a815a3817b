"""What an embeddings file is judged by: its vectors read once, its pictures read once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from extract.backbones.kept_backbones import load_from_provenance
from extract.backbones.registry import Backbone
from extract.errors import UsageError, WeightsDiffer, WeightsError
from extract.images.memory_limits import picture_memory
from extract.images.reading import read_picture
from extract.refusals import SOUND, Reason, Refused
from extract.storage.embeddings import Provenance
from extract.storage.embeddings_table import EmbeddingsTable

PICTURES_AT_ONCE = 256
DIGEST_BYTES = 16
OTHER_NOW = frozenset({Reason.EMPTY, Reason.TOO_LARGE, Reason.NOT_REGULAR})
"""What no picture was when it was embedded: it has changed since, and needs no hash to say so."""

Progress = Callable[[int, int], None]


def _silent(_done: int, _total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, eq=False)
class VectorScan:
    """What the vectors show of each row; rows that are not marked sound are False.

    Parameters
    ----------
    proven : ndarray of shape (n_images,), bool
        Marked sound, with a check sum that fits.
    finite, constant : ndarray of shape (n_images,), bool
    digests : ndarray of shape (n_images, 2), uint64
        Equal where the vectors are, bit for bit.
    """

    proven: np.ndarray
    finite: np.ndarray
    constant: np.ndarray
    digests: np.ndarray

    def equal_groups(self) -> list[np.ndarray]:
        """List the proven rows that share a vector with others, group by group."""
        rows = np.flatnonzero(self.proven)
        rows = rows[np.lexsort((rows, *self.digests[rows].T))]
        differs = (self.digests[rows[1:]] != self.digests[rows[:-1]]).any(axis=1)
        groups = np.split(rows, np.flatnonzero(differs) + 1)
        return sorted((g for g in groups if len(g) > 1), key=lambda group: int(group[0]))


def scan_vectors(table: EmbeddingsTable) -> VectorScan:
    """Read the vectors block by block, so that a file larger than memory can be judged."""
    finite, constant = (np.zeros(len(table), bool) for _ in range(2))
    digests = np.zeros((len(table), DIGEST_BYTES), np.uint8)
    marked = table.rows.status == SOUND
    for first, block in table.blocks():
        here = slice(first, first + len(block))
        finite[here] = np.isfinite(block).all(axis=1) & marked[here]
        # a vector of one number is no constant unless it is zero
        base = block[:, :1] if table.n_dims > 1 else np.zeros(1, block.dtype)
        constant[here] = (block == base).all(axis=1) & marked[here]
        for i in np.flatnonzero(marked[here]).tolist():
            digest = hashlib.blake2b(block[i].data, digest_size=DIGEST_BYTES).digest()
            digests[first + i] = np.frombuffer(digest, np.uint8)
    return VectorScan(table.sound(), finite, constant, digests.view(np.uint64))


@dataclass(frozen=True, eq=False)
class PictureScan:
    """What the pictures show of the proven rows.

    Parameters
    ----------
    root : Path or None
        None where no folder may be opened; then nothing is known.
    unchanged, changed : ndarray of shape (n_images,), bool
    missed : mapping of str to int
        How many rows' pictures could not be read, by reason.
    """

    root: Path | None
    unchanged: np.ndarray
    changed: np.ndarray
    missed: Mapping[str, int] = field(default_factory=dict)


def scan_pictures(
    table: EmbeddingsTable,
    root: Path | None,
    rows: np.ndarray,
    *,
    workers: int = 1,
    progress: Progress = _silent,
) -> PictureScan:
    """Read the pictures of some rows, in threads, and hold their hashes against the stored ones."""
    unchanged, changed = (np.zeros(len(table), bool) for _ in range(2))
    missed: Counter[str] = Counter()
    if root is None:
        return PictureScan(None, unchanged, changed)
    rows_of: dict[str, list[int]] = {}
    for row in rows.tolist():  # one picture may serve several ids
        rows_of.setdefault(table.paths[row], []).append(row)
    paths, done = list(rows_of), 0
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        for first in range(0, len(paths), PICTURES_AT_ONCE):
            few = paths[first : first + PICTURES_AT_ONCE]
            for path, found in zip(few, pool.map(lambda p: _hash_of(root, p), few), strict=True):
                served = rows_of[path]
                done += len(served)
                if isinstance(found, Reason) and found not in OTHER_NOW:
                    missed[found.code] += len(served)
                    continue
                for row in served:
                    same = found == table.rows.content_sha256[row].tobytes()
                    (unchanged if same else changed)[row] = True
            progress(done, len(rows))
    return PictureScan(root, unchanged, changed, dict(sorted(missed.items())))


@picture_memory()
def _hash_of(root: Path, path: str) -> bytes | Reason:
    try:
        return read_picture(root, path).sha256
    except Refused as refused:
        return refused.reason


@dataclass(frozen=True, eq=False)
class AvailableBackbone:
    """The backbone that a file's vectors came from, or why it is not to be had.

    Parameters
    ----------
    backbone : Backbone or None
    why : str
        Where there is none.
    differs : bool
        Whether there is one, but of another identity than the file's.
    """

    backbone: Backbone | None
    why: str = ""
    differs: bool = False


def find_backbone(provenance: Provenance, weights_file: Path | None = None) -> AvailableBackbone:
    """Build the backbone of a file on the CPU, or give why that cannot be.

    Raises
    ------
    UsageError
        When a weights file is given that is not there, or that the file does not need.
    """
    if weights_file is not None and not weights_file.is_file():
        raise UsageError(f"no weights file {weights_file}: give the one that was embedded with")
    if weights_file is not None and provenance.weights in ("pretrained", "random"):
        raise UsageError(
            f"the file's weights are {provenance.weights} ones: leave --weights {weights_file} out"
        )
    try:
        return AvailableBackbone(load_from_provenance(provenance, weights_file=weights_file))
    except WeightsDiffer as error:
        return AvailableBackbone(None, str(error), differs=True)
    except WeightsError as error:  # a file that is given and does not fit is not the right one
        return AvailableBackbone(None, str(error), differs=weights_file is not None)
    except (UsageError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        return AvailableBackbone(None, f"{provenance.model} cannot be built here: {text}")


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a file is judged by.

    Parameters
    ----------
    table : EmbeddingsTable
    vectors : VectorScan
    pictures : PictureScan
    here : AvailableBackbone
    seed : int
        Draws the rows that are computed again.
    """

    table: EmbeddingsTable
    vectors: VectorScan
    pictures: PictureScan
    here: AvailableBackbone
    seed: int = 0

    @property
    def proven(self) -> np.ndarray:
        """Rows marked sound with a check sum that fits; ndarray of shape (n_images,), bool."""
        return self.vectors.proven

    def ids(self, rows: Sequence[int] | np.ndarray) -> tuple[str, ...]:
        """Name some rows."""
        return tuple(self.table.ids[row] for row in rows)


def gather(
    table: EmbeddingsTable,
    here: AvailableBackbone,
    *,
    root: Path | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: Progress = _silent,
) -> Evidence:
    """Read a file's vectors and, where a folder is given, its pictures.

    Parameters
    ----------
    table : EmbeddingsTable
    here : AvailableBackbone
    root : Path, optional
        Where the pictures are.
    seed : int
    workers : int
        Threads that read pictures.
    progress : callable
        Takes how many pictures are read and how many there are.
    """
    vectors = scan_vectors(table)
    rows = np.flatnonzero(vectors.proven)
    pictures = scan_pictures(table, root, rows, workers=workers, progress=progress)
    return Evidence(table, vectors, pictures, here, seed)
