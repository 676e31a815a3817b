"""What is wanted of heads, as Python and the command line give it: nothing heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from extract.command_line import SeedOption
from extract.errors import UsageError

OPTIMIZERS = ("adamw", "adam")
UNFREEZE = ("none", "last")
STAGE_RATE = 0.1
PLAIN_SHARE = 0.5
"""What is tested is plain: of 525 photographs two backbones got 0.4 points more of eight views so
than where the plain picture was one of nine."""


@dataclass(frozen=True)
class HeadSpec:
    """How a head is built: ``depth`` times linear, ReLU, dropout; then a linear output a level.

    The help of each option describes it.

    Examples
    --------
    >>> from analyze import HeadSpec
    >>> HeadSpec(depth=0)
    HeadSpec(width=256, dropout=0.5, depth=0)
    """

    width: Annotated[int, typer.Option(metavar="N", help="Width of the hidden layers.")] = 256
    dropout: Annotated[
        float, typer.Option(metavar="SHARE", help="Dropout in the hidden layers.")
    ] = 0.5
    depth: Annotated[int, typer.Option(metavar="N", help="Hidden layers; 0 is linear.")] = 1

    def __post_init__(self) -> None:
        if self.width < 1:
            raise UsageError(f"--width must be 1 or more, not {self.width}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout must be from 0 to below 1, not {self.dropout:g}")
        if self.depth < 0:
            raise UsageError(f"--depth must be 0 or more, not {self.depth}")


@dataclass(frozen=True)
class TrainingSpec:
    """How a head is trained; the help of each option describes it.

    Parameters
    ----------
    refit : bool
        Whether, once the best number of epochs is known, a head is trained for as many on train
        and validation rows together.
    plain_share : float
        Share of an epoch's rows that are seen as they are, where there are views.
    unfreeze : str
        ``none``, or ``last``: the backbone's last stage is trained too.

    Examples
    --------
    >>> from analyze import TrainingSpec
    >>> TrainingSpec(epochs=50).optimizer
    'adamw'
    """

    optimizer: Annotated[str, typer.Option(metavar="NAME", help="adamw or adam.")] = "adamw"
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="Learning rate.")] = 3e-4
    weight_decay: Annotated[float, typer.Option(metavar="RATE", help="Weight decay.")] = 0.01
    epochs: Annotated[int, typer.Option(metavar="N", help="Maximum number of epochs.")] = 200
    patience: Annotated[
        int, typer.Option(metavar="N", help="Epochs without a lower validation loss.")
    ] = 20
    batch_size: Annotated[int, typer.Option(metavar="N", help="Rows per training step.")] = 64
    label_smoothing: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the target spread over all classes.")
    ] = 0.0
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Weight classes equally.")
    ] = False
    refit: Annotated[
        bool,
        typer.Option(
            "--refit/--no-refit", help="Retrain on training and validation sets together."
        ),
    ] = True
    plain_share: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Share of rows without augmentation, with --views."),
    ] = PLAIN_SHARE
    unfreeze: Annotated[
        str, typer.Option(metavar="none|last", help="Train the backbone's last stage too.")
    ] = "none"
    stage_rate: Annotated[
        float, typer.Option(metavar="SHARE", help="Its learning rate, as a share of the head's.")
    ] = STAGE_RATE

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UsageError(f"no --optimizer {self.optimizer!r}: give {' or '.join(OPTIMIZERS)}")
        for name in ("epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be 1 or more")
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"--learning-rate must be above 0, not {self.learning_rate:g}")
        if not 0 <= self.weight_decay < float("inf"):
            raise UsageError(f"--weight-decay must be 0 or more, not {self.weight_decay:g}")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError("--label-smoothing must be from 0 to below 1")
        if not 0 <= self.plain_share <= 1:
            raise UsageError(f"--plain-share must be from 0 to 1, not {self.plain_share:g}")
        if self.unfreeze not in UNFREEZE:
            raise UsageError(f"no --unfreeze {self.unfreeze!r}: give {' or '.join(UNFREEZE)}")
        if not 0 < self.stage_rate <= 1:
            raise UsageError(f"--stage-rate must be above 0, at most 1, not {self.stage_rate:g}")


@dataclass(frozen=True)
class Plan:
    """Which splits, which head, how it is trained; the help of each option describes it.

    Parameters
    ----------
    n_folds : int, optional
        Without it there is one split: 60/20/20, or that of a column.
    seed : int
        Of splits, trainings and resamples.

    Examples
    --------
    >>> from analyze import HeadSpec, Plan
    >>> Plan(n_folds=5, n_shuffles=1, head=HeadSpec(width=64)).n_folds
    5
    """

    n_levels: Annotated[
        int,
        typer.Option(
            "--levels",
            metavar="N",
            min=1,
            help="Number of levels trained together, from --level down.",
        ),
    ] = 1
    n_folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            metavar="K",
            min=2,
            help="Folds of cross-validation; default one 60/20/20 split.",
        ),
    ] = None
    n_shuffles: Annotated[
        int,
        typer.Option("--shuffles", metavar="N", min=1, help="Repeats of the split into folds."),
    ] = 3
    n_seeds: Annotated[
        int,
        typer.Option(
            "--seeds", metavar="N", min=1, help="Trainings on one split, where there are no folds."
        ),
    ] = 10
    split_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of the split: train, validation, test."),
    ] = None
    head: HeadSpec = field(default_factory=HeadSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    n_resamples: Annotated[
        int,
        typer.Option(
            "--resamples",
            metavar="N",
            min=100,
            help="Bootstrap resamples of pictures, for the intervals.",
        ),
    ] = 2000
    seed: SeedOption = 0

    @property
    def resampling(self) -> dict[str, Any]:
        """How intervals are reckoned, as keyword arguments."""
        return {"n_resamples": self.n_resamples, "seed": self.seed}

    def __post_init__(self) -> None:
        if self.n_folds is not None and self.n_folds < 2:
            raise UsageError(f"--folds must be 2 or more, not {self.n_folds}")
        if self.n_folds is not None and self.split_column is not None:
            raise UsageError("--folds and --split-column are two splits: leave one of them out")
        if self.n_shuffles < 1 or self.n_seeds < 1:
            raise UsageError("--shuffles and --seeds must be 1 or more")
        if self.n_levels < 1:
            raise UsageError(f"--levels must be 1 or more, not {self.n_levels}")
