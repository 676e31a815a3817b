"""Batches through a backbone: at once on a CPU, on a GPU while the host goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from extract.backbones.registry import Backbone
from extract.images.decoders import DecodedPicture, decode_for
from extract.inference.execution_config import requested_decoder
from extract.inference.runtimes import prepared, prepared_on_host


@dataclass(frozen=True, eq=False)
class Launched:
    """A batch on its way.

    Parameters
    ----------
    wait : callable
        Waits for its end; gives the vectors, ndarray of shape (batch_size, n_dims), float32, and
        the seconds that the device worked on it.
    """

    wait: Callable[[], tuple[np.ndarray, float]]


class Forward(Protocol):
    """What forwards batches, here or in other processes."""

    in_flight: int

    def launch(self, pixels: np.ndarray, batch: int) -> Launched:
        """Send a batch on its way, by its pixels and its number in the run."""


class ForwardPass:
    """One backbone made ready to forward batches of one shape.

    Parameters
    ----------
    backbone : Backbone
    execution_config : mapping
        How it computes.
    """

    def __init__(self, backbone: Backbone, execution_config: Mapping[str, Any]) -> None:
        self._device = backbone.device
        on_gpu = self._device.startswith("cuda")
        self._call: Any = (prepared if on_gpu else prepared_on_host)(backbone, execution_config)
        self.in_flight = 1 if self._device.startswith("cuda") else 0
        """Batches to launch before the first is waited for, so that the device never waits."""
        self._copying: Any = None

    def launch(self, pixels: np.ndarray, _batch: int = 0) -> Launched:
        """Forward a batch; ndarray of shape (batch_size, size, size, 3), uint8."""
        # chosen here: kept as an attribute, a method of its own would keep it until garbage is
        # collected, maybe in a forked process, which must not touch the device
        on_gpu = self._device.startswith("cuda")
        return self._on_gpu(pixels) if on_gpu else self._at_once(pixels)

    def _at_once(self, pixels: np.ndarray) -> Launched:
        began = time.monotonic()
        vectors = self._call(pixels)
        seconds = time.monotonic() - began
        return Launched(lambda: (vectors, seconds))

    def _on_gpu(self, pixels: np.ndarray) -> Launched:
        """Send a batch on its way; its pixels may be overwritten once it was waited for."""
        import torch

        # a stream of its own, so that pixels are copied while the batch before is computed
        self._copying = self._copying or torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copying):
            there = torch.from_numpy(pixels).to(self._device, non_blocking=True)
        computing.wait_stream(self._copying)
        there.record_stream(computing)
        # blocking: whoever waits leaves its core to those who decode
        began, ended = (
            torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )
        began.record(computing)
        found = self._call(there)
        vectors = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        vectors.copy_(found, non_blocking=True)
        ended.record(computing)

        def wait() -> tuple[np.ndarray, float]:
            ended.synchronize()
            return vectors.numpy(), began.elapsed_time(ended) / 1000

        return Launched(wait)


class PictureEmbedder:
    """One backbone made ready to embed pictures one at a time, as rows of an execution config are.

    Parameters
    ----------
    backbone : Backbone
    execution_config : mapping
        How it computes.
    """

    def __init__(self, backbone: Backbone, execution_config: Mapping[str, Any]) -> None:
        self.preprocessing = backbone.preprocessing
        decoder = requested_decoder(execution_config)  # one picture is not worth a GPU's decoder
        self.decoder = "fast" if decoder == "gpu" else decoder
        self._forward = prepared_on_host(backbone, {**execution_config, "batch_size": 1})

    def embed(self, content: bytes) -> np.ndarray:
        """Embed one picture from its file's bytes; ndarray of shape (n_dims,), float32.

        Raises
        ------
        Refused
        """
        return self.embed_decoded(decode_for(content, self.preprocessing, self.decoder))

    def embed_decoded(self, picture: DecodedPicture) -> np.ndarray:
        """Embed one picture that was decoded for this preprocessing, by this decoder."""
        vector: np.ndarray = self._forward(picture.placed(self.preprocessing)[None])[0]
        return vector
