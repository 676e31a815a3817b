"""Which row holds the vector of which bytes."""

from __future__ import annotations

import numpy as np

KEY_BYTES = 8


class ContentIndex:
    """Finished rows by the sha256 of their picture's bytes; 16 bytes of memory a row.

    Parameters
    ----------
    contents : ndarray of shape (n_images, 32), uint8
        Of the file; kept, not copied.
    rows : ndarray of shape (n,), int
        The rows that may be found, ascending; of equal contents the first is.
    """

    def __init__(self, contents: np.ndarray, rows: np.ndarray) -> None:
        keys = np.ascontiguousarray(contents[rows, :KEY_BYTES]).view("<u8").ravel()
        order = np.argsort(keys, kind="stable")
        self._contents, self._keys, self._rows = contents, keys[order], rows[order]
        self._added: dict[bytes, int] = {}

    def find(self, sha256: bytes) -> int:
        """Give the row of a content, or -1."""
        added = self._added.get(sha256)
        if added is not None:
            return added
        if not len(self._keys):
            return -1
        key = np.frombuffer(sha256[:KEY_BYTES], "<u8")[0]
        first, end = (int(np.searchsorted(self._keys, key, side)) for side in ("left", "right"))
        for row in self._rows[first:end].tolist():
            if self._contents[row].tobytes() == sha256:
                return int(row)
        return -1

    def add(self, sha256: bytes, row: int) -> None:
        """Add a row that was finished since."""
        self._added[sha256] = row
