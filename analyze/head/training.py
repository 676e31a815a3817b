"""Training on stored features: the backbone is frozen, so an epoch costs milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.directions import unit_rows
from analyze.head.calibration import fit_temperature
from analyze.head.network import Head, HeadSpec, Scaling, build_network, forward
from analyze.head.splits import Split
from analyze.threads import one_thread_of_torch
from extract.errors import UsageError

if TYPE_CHECKING:
    import torch

OPTIMIZERS = ("adamw", "adam")
PLAIN = 0
"""Place of the picture as it is among its views."""

PLAIN_SHARE = 0.5
"""What is tested is plain: of 525 photographs two backbones got 0.4 points more of eight views so
than where the plain picture was one of nine."""


@dataclass(frozen=True)
class TrainingSpec:
    """How a head is trained.

    Parameters
    ----------
    optimizer : str
        ``adamw`` or ``adam``.
    learning_rate, weight_decay : float
    epochs : int
        At most.
    patience : int
        Epochs without a lower validation loss before training stops.
    batch_size : int
    label_smoothing : float
    class_weights : bool
        Whether every class counts as much, however many pictures it has.
    refit : bool
        Whether, once the best number of epochs is known, a head is trained for as many on train
        and validation rows together.
    plain_share : float
        Share of an epoch's rows that are seen as they are, where there are views.
    """

    optimizer: str = "adamw"
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    epochs: int = 200
    patience: int = 20
    batch_size: int = 64
    label_smoothing: float = 0.0
    class_weights: bool = False
    refit: bool = True
    plain_share: float = PLAIN_SHARE

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


@dataclass(frozen=True, eq=False)
class Taught:
    """What training sees: copies of the taught rows, of nothing else.

    Parameters
    ----------
    features : ndarray of shape (n_views + 1, n_taught, n_dims), float32
        The plain pictures first.
    labels : ndarray of shape (n_taught,), int
        Codes, none missing.
    train, validation : ndarray of int
        Rows of these arrays.
    """

    features: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    validation: np.ndarray

    def __post_init__(self) -> None:
        if self.features.ndim != 3 or self.features.shape[1] != len(self.labels):
            raise ValueError(
                f"features must have shape (n_views + 1, {len(self.labels)}, n_dims), "
                f"got {self.features.shape}"
            )
        if not np.isfinite(self.features).all():
            raise ValueError("features must be finite; leave other rows out and say so")
        if len(self.labels) and self.labels.min() < 0:
            raise ValueError("every taught row must have a label")
        if len(np.unique(self.labels[self.train])) < 2:
            raise ValueError("train rows must be of two classes or more")
        if not np.isin(self.labels[self.validation], self.labels[self.train]).all():
            raise ValueError("validation rows must be of classes that train rows have")

    @cached_property
    def directions(self) -> np.ndarray:
        """The features as rows of length 1, once for all trainings; ndarray of the same shape."""
        n_dims = self.features.shape[2]
        return unit_rows(self.features.reshape(-1, n_dims)).reshape(self.features.shape)


class HeldOut:
    """The tested rows, which are asked about once, when all that is asked has been trained."""

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        self._rows: tuple[np.ndarray, np.ndarray] | None = (features, labels)

    def ask(
        self, predictors: Mapping[str, Callable[[np.ndarray], np.ndarray]]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Let every predictor answer for the plain pictures, then forget them.

        Parameters
        ----------
        predictors : mapping of str to callable
            From vectors of shape (n_test, n_dims) to anything with a row each.

        Returns
        -------
        answers : dict of str to ndarray
        labels : ndarray of shape (n_test,), int

        Raises
        ------
        RuntimeError
            The second time: what was learned from a test is no longer tested by it.
        """
        if self._rows is None:
            raise RuntimeError("the test rows have been asked about already")
        (vectors, labels), self._rows = self._rows, None
        return {name: predict(vectors) for name, predict in predictors.items()}, labels


def hold_out(features: np.ndarray, labels: np.ndarray, split: Split) -> tuple[Taught, HeldOut]:
    """Part features into what training gets and what is kept from it.

    Parameters
    ----------
    features : ndarray of shape (n_images, n_dims) or (n_views + 1, n_images, n_dims), float32
    labels : ndarray of shape (n_images,), int
    split : Split
    """
    stacked = features[None] if features.ndim == 2 else features
    taught = split.taught
    train, validation = (np.searchsorted(taught, rows) for rows in (split.train, split.validation))
    return (
        Taught(stacked[:, taught], labels[taught], train, validation),
        HeldOut(stacked[PLAIN, split.test], labels[split.test]),
    )


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: means over the rows it saw; validation is of the plain pictures."""

    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained head and how it came about.

    Parameters
    ----------
    head : Head
        Refitted where that was wanted.
    curves : tuple of Epoch
        Of the run that validation stopped.
    best_epoch, stopped_epoch : int
        From 1; the lowest validation loss, and the last epoch that was run.
    validation_logits : ndarray of shape (n_validation, n_classes), float32
        Of the head that never trained on them, at its best epoch: for a temperature, thresholds.
    validation_labels : ndarray of shape (n_validation,), int
        Places in the head's classes.
    seconds : float
    """

    head: Head
    curves: tuple[Epoch, ...]
    best_epoch: int
    stopped_epoch: int
    validation_logits: np.ndarray
    validation_labels: np.ndarray
    seconds: float

    @cached_property
    def temperature(self) -> float:
        """What its logits are divided by, of pictures that it had not trained on."""
        return fit_temperature(self.validation_logits, self.validation_labels)


def train_head(
    taught: Taught,
    spec: HeadSpec | None = None,
    training: TrainingSpec | None = None,
    *,
    seed: int = 0,
    on_epoch: Callable[[int, Epoch], None] | None = None,
) -> Trained:
    """Train a head until validation says stop, and keep its best epoch.

    On one thread, so that the same seed gives the same bits.

    Parameters
    ----------
    taught : Taught
    spec : HeadSpec, optional
    training : TrainingSpec, optional
    seed : int
        Of the first weights, the batches, the views drawn and the dropout.
    on_epoch : callable, optional
        Told of each epoch, from 1; may raise to give up.

    Raises
    ------
    UsageError
        When the loss is not a number from the start.
    """
    spec, training = spec or HeadSpec(), training or TrainingSpec()
    began = time.perf_counter()
    classes = np.unique(taught.labels[taught.train])
    codes = np.searchsorted(classes, taught.labels)
    with one_thread_of_torch():
        run = _Run(taught.directions, codes, taught.train, len(classes), spec, training, seed)
        curves, best, logits = _until_validation_stops(run, taught.validation, on_epoch)
        head = Head(spec, run.scaling, (classes,), best.weights)
        if training.refit:
            everything = np.arange(len(codes))
            again = _Run(taught.directions, codes, everything, len(classes), spec, training, seed)
            for _ in range(best.epoch):
                again.epoch()
            head = Head(spec, again.scaling, (classes,), again.weights())
    return Trained(
        head=head,
        curves=tuple(curves),
        best_epoch=best.epoch,
        stopped_epoch=len(curves),
        validation_logits=logits,
        validation_labels=codes[taught.validation],
        seconds=time.perf_counter() - began,
    )


def epoch_batches(
    random: np.random.Generator,
    n_rows: int,
    n_views: int,
    batch_size: int,
    plain_share: float = PLAIN_SHARE,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw one epoch: every row once, some as they are, the others as one of their views.

    Yields
    ------
    views, rows : ndarray of int
        0 is the plain picture.
    """
    rows = random.permutation(n_rows)
    views = np.zeros(n_rows, np.int64)
    if n_views:
        viewed = random.random(n_rows) >= plain_share
        views[viewed] = random.integers(1, n_views + 1, int(viewed.sum()))
    for first in range(0, n_rows, batch_size):
        some = slice(first, first + batch_size)
        yield views[some], rows[some]


def balanced_weights(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Weigh classes so that each counts as much; the mean over the rows is 1, float32."""
    counts = np.maximum(np.bincount(codes, minlength=n_classes), 1)
    weights: np.ndarray = (len(codes) / (n_classes * counts)).astype(np.float32)
    return weights


@dataclass(frozen=True, eq=False)
class _Best:
    epoch: int
    loss: float
    weights: Mapping[str, np.ndarray]


class _Run:
    """One network on its way: weights, optimizer, chance."""

    def __init__(
        self,
        directions: np.ndarray,
        codes: np.ndarray,
        rows: np.ndarray,
        n_classes: int,
        spec: HeadSpec,
        training: TrainingSpec,
        seed: int,
    ) -> None:
        import torch

        self.scaling = Scaling.of_directions(directions[PLAIN, rows])
        self._features = torch.from_numpy(self.scaling.apply_to_directions(directions))
        self._codes = torch.from_numpy(codes)
        self._rows, self.training = rows, training
        self.network = build_network(directions.shape[2], [n_classes], spec, seed)
        self._optimizer = _optimizer(self.network, training)
        weights = balanced_weights(codes[rows], n_classes) if training.class_weights else None
        self._loss = torch.nn.CrossEntropyLoss(
            weight=None if weights is None else torch.from_numpy(weights),
            label_smoothing=training.label_smoothing,
        )
        self._random = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._dropout = torch.random.get_rng_state()

    def epoch(self) -> tuple[float, float]:
        """Train on every row once; the mean loss and accuracy on the way."""
        import torch

        losses, hits = 0.0, 0
        n_rows, n_views, training = len(self._rows), len(self._features) - 1, self.training
        self.network.train()
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(self._dropout)
            batches = epoch_batches(
                self._random, n_rows, n_views, training.batch_size, training.plain_share
            )
            for views, places in batches:
                rows = torch.from_numpy(self._rows[places])
                targets = self._codes[rows]
                self._optimizer.zero_grad()
                (logits,) = forward(self.network, self._features[torch.from_numpy(views), rows])
                loss = self._loss(logits, targets)
                loss.backward()
                self._optimizer.step()
                losses += float(loss.detach()) * len(places)
                hits += int((logits.detach().argmax(dim=1) == targets).sum())
            self._dropout = torch.random.get_rng_state()
        return losses / n_rows, hits / n_rows

    def asked(self, rows: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Answer for plain pictures: logits, mean loss (not smoothed, not weighted), accuracy."""
        import torch

        self.network.eval()
        with torch.inference_mode():
            (logits,) = forward(self.network, self._features[PLAIN, torch.from_numpy(rows)])
            targets = self._codes[torch.from_numpy(rows)]
            loss = float(torch.nn.functional.cross_entropy(logits, targets))
            right = float((logits.argmax(dim=1) == targets).double().mean())
        return logits.numpy(), loss, right

    def weights(self) -> dict[str, np.ndarray]:
        """Copy the weights as they are now."""
        return {k: v.detach().numpy().copy() for k, v in self.network.state_dict().items()}


def _until_validation_stops(
    run: _Run, validation: np.ndarray, on_epoch: Callable[[int, Epoch], None] | None
) -> tuple[list[Epoch], _Best, np.ndarray]:
    curves: list[Epoch] = []
    best, best_logits = _Best(0, float("inf"), {}), np.zeros((0, 0), np.float32)
    for number in range(1, run.training.epochs + 1):
        train_loss, train_accuracy = run.epoch()
        logits, loss, accuracy = run.asked(validation)
        if not np.isfinite([train_loss, loss]).all():
            break
        curves.append(Epoch(train_loss, train_accuracy, loss, accuracy))
        if on_epoch is not None:
            on_epoch(number, curves[-1])
        if loss < best.loss:
            best, best_logits = _Best(number, loss, run.weights()), logits
        elif number - best.epoch >= run.training.patience:
            break
    if not best.epoch:
        raise UsageError("the loss is not a number from the start: give a lower --learning-rate")
    return curves, best, best_logits


def _optimizer(network: torch.nn.Module, training: TrainingSpec) -> torch.optim.Optimizer:
    import torch

    kinds: dict[str, Any] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    optimizer: torch.optim.Optimizer = kinds[training.optimizer](
        network.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=True,
    )
    return optimizer
