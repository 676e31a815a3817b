"""Shared places that pixels are decoded into, a few batches of them, used over and over."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class BatchRing:
    """A ring of batches of uint8 pixels, in memory that forked processes share.

    Whoever decodes writes a picture straight into its place of its batch, and the device reads it
    from there: no copy between. The memory has no name, so that nothing is left behind by a process
    that dies.

    Parameters
    ----------
    n_batches : int
        How many are kept at once.
    batch_size : int
    size : int
        Pixels a side.
    """

    def __init__(self, n_batches: int, batch_size: int, size: int) -> None:
        self.n_batches = n_batches
        self._shape = (n_batches, batch_size, size, size, 3)
        self._memory = mmap.mmap(-1, int(np.prod(self._shape)))
        self.batches = np.frombuffer(self._memory, np.uint8).reshape(self._shape)
        self._released = 0
        self._pinned = False

    def has_room(self, batch: int) -> bool:
        """Whether the batch of this number, counted from 0 in the run, may be written now."""
        return batch < self._released + self.n_batches

    def place(self, batch: int) -> np.ndarray:
        """Give the pixels of one batch; ndarray of shape (batch_size, size, size, 3), uint8."""
        pixels: np.ndarray = self.batches[batch % self.n_batches]
        return pixels

    def release(self) -> None:
        """Give the oldest batch's places free: its pixels were read."""
        self._released += 1

    def tensor(self, batch: int) -> torch.Tensor:
        """Give the pixels of one batch as a tensor over the same memory."""
        import torch

        return torch.from_numpy(self.place(batch))

    def pin(self) -> None:
        """Register the ring with the GPU's driver, so that it copies from there by itself."""
        import torch

        runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
        failed = runtime.cudaHostRegister(self.batches.ctypes.data, self.batches.nbytes, 0)
        self._pinned = int(failed) == 0  # memory that cannot be pinned is only slower

    def close(self) -> None:
        """Let go of what the driver holds; the memory goes with the last reader."""
        if self._pinned:
            import torch

            runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
            runtime.cudaHostUnregister(self.batches.ctypes.data)
            self._pinned = False
