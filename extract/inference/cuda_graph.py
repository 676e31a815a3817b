"""A forward pass recorded once as a CUDA graph, so that each batch is one launch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

WARM_UPS = 2
"""Calls before the recording: libraries choose their kernels and take their memory."""


def recorded(
    forward: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Record a forward pass for one shape.

    Parameters
    ----------
    forward : callable
        Of work on one CUDA device alone, which waits for nothing.
    pixels : tensor
        Of the shape and on the device that are to come; on another than CUDA nothing is recorded.

    Returns
    -------
    callable
        The same function of any pixels of that shape, for any thread, but in one stream: nothing
        else orders its calls. Its vectors are memory of their own.
    """
    import torch

    if not pixels.is_cuda:
        return forward
    place = pixels.clone()
    with torch.cuda.device(place.device), torch.inference_mode():
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(WARM_UPS):
                forward(place)
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        # of this thread: others may decode on the device meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            vectors = forward(place)

    turn = threading.Lock()

    def replay(batch: torch.Tensor, _alive: object = forward) -> torch.Tensor:
        """Compute; the graph reads the weights of what it was recorded of, so that must live."""
        if batch.shape != place.shape:
            raise ValueError(f"made for {tuple(place.shape)}, got {tuple(batch.shape)}")
        with turn:  # one place for pixels, one for vectors
            place.copy_(batch, non_blocking=True)
            graph.replay()
            return vectors.clone()

    return replay
