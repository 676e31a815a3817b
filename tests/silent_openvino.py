"""A program of test_runtimes.py: OpenVINO is loaded and used where no connection can be made."""

from __future__ import annotations

import socket
import sys

import torch
from small_catalogs import tiny_backbone

from extract.inference.runtimes import prepared


def refuse(*words: object) -> None:
    raise AssertionError(words)


if __name__ == "__main__":
    assert "openvino" not in sys.modules
    socket.socket.connect = socket.getaddrinfo = refuse
    way = {"runtime": "openvino", "dtype": "fp32", "batch_size": 2, "threads": 1}
    prepared(tiny_backbone(), way)(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))
    assert "openvino" in sys.modules
    assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
