"""What a run reports while it works, and how it is stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Monitor:
    """What a run reports while it works; this one stays silent and never requests a stop."""

    def surveyed(self, what: str, done: int, total: int) -> None:
        """Receive how many pictures were looked at before the work is known."""

    def start(
        self,
        *,
        n_to_do: int,
        n_done: int,
        n_rows: int,
        execution_configs: Sequence[Mapping[str, Any]],
        decoding: str,
    ) -> None:
        """Receive the work before it begins: rows of all files, and how each is computed."""

    def ready(self) -> None:
        """Receive that models are ready and the loop begins with its first picture."""

    def finished(self, n_rows: int) -> None:
        """Receive how many more rows are durable now."""

    def warned(self, what: str) -> None:
        """Receive what went wrong and was recovered from."""

    def waited(self, seconds: float, stages: Mapping[str, float]) -> None:
        """Receive at the end how long each stage had nothing to do, of all seconds."""

    def should_stop(self) -> bool:
        """Whether to stop after the batch in flight."""
        return False
