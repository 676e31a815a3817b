"""How a run goes about its work, as Python and a command line give it: nothing heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from extract.command_line import typed_count
from extract.errors import UsageError
from extract.inference.wanted import ExecutionOptions
from extract.option_groups import Typed

if TYPE_CHECKING:
    from extract.images.augmentation import View


@dataclass(frozen=True)
class Options(ExecutionOptions):
    """How a run goes about its work, in addition to how its rows are computed.

    ``workers`` are as many as this process may use cores without it; ``stop_at_refusal`` ends the
    run at the first picture that is refused.

    Examples
    --------
    >>> from extract import Options
    >>> Options(batch_size=16, decoder="reference").batch_size
    16
    """

    workers: Annotated[
        int | None,
        typer.Option(metavar="auto|N", help="Decoding threads, from five on processes."),
        typed_count("--workers"),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most this many new pictures, in whole batches."),
    ] = None
    restart: Annotated[bool, typer.Option("--restart", help="Compute every row again.")] = False
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try refused pictures again.")
    ] = False
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Compare pictures by content, not by date.")
    ] = False
    stop_at_refusal: Annotated[
        bool,
        typer.Option(
            "--on-bad-image", help="Whether a broken picture is skipped or stops the run."
        ),
        Typed(Literal["skip", "stop"], "skip", "stop".__eq__),
    ] = False


@dataclass(frozen=True)
class Views:
    """How many augmented copies of every picture are embedded, and what they may change."""

    views: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Augmented copies of every picture, each a file of its own, drawn from --seed.",
        ),
    ] = 0
    view_policy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="catalog-1; geometric-1: without light, color; corrupted-1: one of 12 "
            "corruptions; corrupted-1:noise+blur: one of these.",
        ),
    ] = "catalog-1"

    def drawn_from(self, seed: int) -> list[View]:
        """List the views.

        Raises
        ------
        UsageError
            When there is no such policy, or there are more than can be of use.
        """
        from extract.images.augmentation import MOST_VIEWS, View

        if self.views > MOST_VIEWS:
            raise UsageError(f"--views {self.views}: {MOST_VIEWS} at most")
        n_checked = max(self.views, 1)  # a wrong policy is refused, asked for or not
        return [View(self.view_policy, seed, i + 1) for i in range(n_checked)][: self.views]
