"""What a run tells while it works, and how it is asked to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Monitor:
    """What a run tells while it works; this one stays silent and never asks to stop."""

    def surveyed(self, what: str, done: int, total: int) -> None:
        """Be told how many pictures were looked at before the work is known."""

    def start(
        self,
        *,
        n_to_do: int,
        n_done: int,
        n_rows: int,
        realisations: Sequence[Mapping[str, Any]],
        decoding: str,
    ) -> None:
        """Be told of the work before it begins: rows of all files, and how each is computed."""

    def ready(self) -> None:
        """Be told that models are ready and the loop begins with its first picture."""

    def finished(self, n_rows: int) -> None:
        """Be told of rows that are durable now."""

    def warned(self, what: str) -> None:
        """Be told of something that went wrong and was mended."""

    def waited(self, seconds: float, stages: Mapping[str, float]) -> None:
        """Be told at the end how long each stage had nothing to do, of so many seconds."""

    def should_stop(self) -> bool:
        """Say whether to stop after the batch in flight."""
        return False
