"""Shared places that pixels are decoded into, a few batches of them, used over and over."""

from __future__ import annotations

import numpy as np

from extract.loading.shared_memory import SharedMemory


class BatchRing:
    """A ring of batches of uint8 pixels, in memory that processes share.

    Whoever decodes writes a picture straight into its place of its batch, and the device reads it
    from there: no copy between.

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
        shape = n_batches, batch_size, size, size, 3
        self.memory = SharedMemory.allocate(int(np.prod(shape)))
        self.batches = self.memory.array(shape)
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

    def pin(self) -> None:
        """Register the ring with the GPU's driver, so that it copies from there by itself."""
        self._pinned = pin(self.batches)

    def close(self) -> None:
        """Let go of what the driver holds; the memory goes with the last reader."""
        if self._pinned:
            import torch

            runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
            runtime.cudaHostUnregister(self.batches.ctypes.data)
            self._pinned = False
        self.memory.close()


def pin(memory: np.ndarray) -> bool:
    """Register memory with the GPU's driver; say whether it is: what is not is only slower."""
    import torch

    runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    return int(runtime.cudaHostRegister(memory.ctypes.data, memory.nbytes, 0)) == 0
