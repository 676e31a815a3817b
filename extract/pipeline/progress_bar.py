"""The progress of a run, on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from extract.command_line import log
from extract.inference.execution_config import described
from extract.pipeline.monitor import Monitor
from extract.stopping import StopRequest


class EmbeddingBar(Monitor):
    """Shows a run: rows that are durable, rate, time left."""

    def __init__(self, stop: StopRequest, quiet: bool) -> None:
        self._stop, self._quiet = stop, quiet
        self._bar: Any = None
        self._what = ""

    def start(
        self,
        *,
        n_to_do: int,
        n_done: int,
        n_rows: int,
        execution_configs: Sequence[Mapping[str, Any]],
        decoding: str,
    ) -> None:
        """Open the bar and say how the run computes."""
        several = len(execution_configs) > 1
        what = f"rows of {len(execution_configs)} files" if several else "pictures"
        ways = dict.fromkeys(described(r) for r in execution_configs)
        log.info(
            f"{n_to_do} {what} to embed {'; '.join(ways)} {decoding}"
            + (f"; {n_done} of {n_rows} are there already" if n_done else "")
        )
        self._open(total=n_to_do, unit="row" if several else "picture")

    def surveyed(self, what: str, done: int, total: int) -> None:
        """Show the look at the pictures where it takes long."""
        if what != self._what:
            self._what = what
            self._open(desc=what, total=total, unit="picture", delay=1, leave=False)
        self._bar.update(done - self._bar.n)

    def finished(self, n_rows: int) -> None:
        """Count rows that are durable."""
        self._bar.update(n_rows)

    def warned(self, what: str) -> None:
        """Say what went wrong and was mended."""
        log.warning(what)

    def waited(self, seconds: float, stages: Mapping[str, float]) -> None:
        """Say how long each stage had nothing to do: the one that never waits is the slowest."""
        self.close()
        shown = ", ".join(f"{stage} {idle:.1f} s" for stage, idle in stages.items())
        log.info(f"of {seconds:.1f} s each stage was idle: {shown}")

    def should_stop(self) -> bool:
        """Say whether a signal came."""
        return bool(self._stop)

    def _open(self, **how: Any) -> None:
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(disable=True if self._quiet else None, dynamic_ncols=True, **how)

    def close(self) -> None:
        """Close the bar, also when the run failed."""
        if self._bar is not None:
            self._bar.close()
