"""Tasks and backbones that go wrong as told; each process of a test imports this: it is light."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.lookup.workers.picture_tasks import _bounded
from extract.errors import WeightsError
from extract.images.memory_limits import MAX_BYTES_AT_WORK, decoding_memory


@dataclass(frozen=True)
class Do:
    """A task that does something small, or something bad."""

    what: str
    seconds: float = 5.0
    processor_seconds: float | None = 5.0
    file: Path = Path("none")

    def do(self, kept: dict[str, Any]) -> Any:
        kept[self.what] = kept.get(self.what, 0) + 1
        match self.what:
            case "sleep":
                time.sleep(60)
            case "spin":
                while True:
                    pass
            case "die":
                os._exit(3)
            case "die once" if not self.file.exists():
                self.file.touch()
                os._exit(3)
            case "be killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "be killed once" if not self.file.exists():
                self.file.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "raise":
                raise KeyError("inner")
            case "known":
                raise WeightsError("not here: do this")
            case "heavy":
                with decoding_memory(MAX_BYTES_AT_WORK // 2):
                    return "had it"
            case "memory":
                with _bounded():
                    return len(bytearray(3 << 30))
            case "array":
                return np.arange(3_000_000, dtype=np.uint8).reshape(1000, 1000, 3)
            case "echo":
                return kept["echo"], os.getpid()
        return None


@dataclass(frozen=True)
class Source:
    """A backbone whose loads go as a file says: one word a load, ``well`` when none is left."""

    plan: Path
    key: str = "planned"

    @property
    def provenance(self) -> Source:
        return self

    @property
    def model(self) -> str:
        return "planned"

    def load(self) -> Any:
        first, *rest = self.plan.read_text().split() or ["well"]
        self.plan.write_text(" ".join(rest))
        with self.plan.with_name("loads").open("a") as loads:
            loads.write(f"{first} ")
        match first:
            case "missing":
                raise WeightsError("no weights file /secret/place/w.safetensors")
            case "memory":
                raise MemoryError
            case "slow":
                time.sleep(4)
            case "hanging":
                time.sleep(60)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return Embedder()


class Embedder:
    preprocessing, decoder = None, "reference"

    def embed_decoded(self, decoded: Any) -> Any:
        if isinstance(decoded, Do):
            decoded.do({})
        return np.ones(3, np.float32)
