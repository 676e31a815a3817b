"""Backbones in a process of their own: loaded there, and loaded again when that is needed."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass

import numpy as np

from analyze.lookup.http.errors import Declined
from analyze.lookup.workers.deadline import Deadline, TryAgain
from analyze.lookup.workers.embedding_tasks import BackboneSource, Embed, Load, Loaded
from analyze.lookup.workers.processes import Processes, TaskFailed
from extract.ids import shown
from extract.images.decoders import DecodedPicture

log = logging.getLogger("sosie")

READY, LOADING, UNAVAILABLE = "ready", "loading", "unavailable"
LONGEST_PAUSE = 30.0
"""Between two loads that came to nothing; the first pause is a second, each is twice the last."""

LOOKED_AT_SECONDS = 30.0
"""After which a load that failed is tried again when somebody opens a page."""

STILL_LOADING_SECONDS = 5
"""After which a picture may be sent again that came while its backbone was loading."""

ENDED = "its process was ended: it is loaded again"
REASONS = {
    "WeightsError": "its weights are not here: see the log",
    "WeightsDiffer": "what is here gives other vectors than those of the file: see the log",
}
"""By the error's name, as its own words may hold a path."""


@dataclass(frozen=True)
class BackboneStatus:
    """Whether pictures can be sent to a backbone.

    Parameters
    ----------
    uploads : str
        ``ready``, ``loading`` or ``unavailable``.
    reason : str, optional
        One line; None when it is ready, and while it is loaded for the first time.
    """

    uploads: str
    reason: str | None = None


class Backbone:
    """A backbone in a process of its own; requests during its load wait for that one load.

    Parameters
    ----------
    source : BackboneSource
    processes : Processes
        A single one, which other backbones may share.
    loading_seconds : float
    """

    def __init__(
        self, source: BackboneSource, processes: Processes, loading_seconds: float | None = None
    ) -> None:
        self._source, self._processes = source, processes
        self._load = Load(source, loading_seconds) if loading_seconds else Load(source)
        self._changed = threading.Condition()
        self._loaded: Loaded | None = None
        self._is_loading = self._has_failed = False
        self._reason: str | None = None
        self._unused_loads = 0
        self._due = self._failed_at = -math.inf

    @property
    def status(self) -> BackboneStatus:
        """Its status at this moment; a process that was ended is noticed, and loads again."""
        with self._changed:
            if self._is_there():
                return BackboneStatus(READY)
            if self._has_failed and not self._is_loading:
                return BackboneStatus(UNAVAILABLE, self._reason)
            self._load_when_due()
            return BackboneStatus(LOADING, self._reason)

    def try_again(self) -> None:
        """Load it again if the last load failed a while ago."""
        with self._changed:
            if self._has_failed and time.monotonic() > self._failed_at + LOOKED_AT_SECONDS:
                self._load_when_due()

    def seeing(self, deadline: Deadline) -> Loaded:
        """Return how it wants its pictures, once it is loaded.

        Raises
        ------
        Declined
            503: still loading at the deadline, or not to be had.
        """
        try:
            return deadline.wait_for(self._there_within, "the backbone")
        except TryAgain:
            message = "the backbone is still loading: send the picture again in a moment"
            raise Declined(503, message, "loading", retry_after=STILL_LOADING_SECONDS) from None

    def embed(self, decoded: DecodedPicture, deadline: Deadline) -> np.ndarray:
        """Embed a picture that was decoded for it; ndarray of shape (n_dims,), float32.

        Raises
        ------
        Declined
            503: as for :meth:`seeing`.
        TryAgain
            When its process took too long, or was ended again.
        TaskFailed
        """
        for _ in range(2):  # a process that is ended is replaced by one that has to load
            self.seeing(deadline)
            vector = self._processes.ask(Embed(self._source, decoded), deadline=deadline)
            if vector is not None:
                self._unused_loads = 0
                found: np.ndarray = vector
                return found
        raise TryAgain("the process of the backbone was ended, and ended again")

    def _is_there(self) -> bool:
        if self._loaded is not None and not self._processes.live(self._loaded.pid):
            self._loaded, self._reason = None, ENDED
        return self._loaded is not None

    def _there_within(self, seconds: float) -> Loaded | None:
        with self._changed:
            if not self._is_there():
                self._decline_if_failed()
                self._load_when_due()
                self._changed.wait(seconds)
            return self._loaded

    def _decline_if_failed(self) -> None:
        left = self._due - time.monotonic()
        if self._has_failed and not self._is_loading and left > 0:
            message = f"pictures cannot be embedded here: {self._reason}"
            raise Declined(503, message, "no_backbone", retry_after=math.ceil(left))

    def _load_when_due(self) -> None:
        """Begin a load, unless one goes on or the last was a moment ago."""
        if not self._is_loading and time.monotonic() >= self._due:
            self._is_loading = True
            threading.Thread(target=self._load_it, name="loading", daemon=True).start()

    def _load_it(self) -> None:
        loaded, reason = None, None
        try:
            # other backbones may be loaded before it: only its own load is bounded
            loaded = self._processes.ask(self._load, deadline=Deadline(math.inf))
        except TaskFailed as failed:
            reason = REASONS.get(failed.kind, "it could not be loaded: see the log")
            self._log(reason, str(failed))
        except TryAgain as late:
            reason = f"its loading {late}"
            self._log(reason, reason)
        except Exception as error:  # noqa: BLE001 - requests that wait must be answered
            reason = "it could not be loaded: see the log"
            self._log(reason, f"unexpected {type(error).__name__}: {error}")
        with self._changed:
            now = time.monotonic()
            self._loaded, self._reason, self._is_loading = loaded, reason, False
            self._has_failed, self._failed_at = loaded is None, now
            self._due = now + min(2.0**self._unused_loads, LONGEST_PAUSE)
            self._unused_loads += 1
            self._changed.notify_all()

    def _log(self, reason: str, message: str) -> None:
        if reason != self._reason and not self._processes.closed:  # not at every try
            log.warning(
                "no picture can be sent to %s: %s", self._source.provenance.model, shown(message)
            )
