"""Training on stored features: the backbone is frozen, so an epoch costs milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.head.training.inputs import PLAIN, Inputs, StageVectors, StoredVectors
from analyze.head.training.network import Head, build_network, forward
from analyze.head.training.objective import Objective
from analyze.head.training.probabilities import Activation
from analyze.head.training.spec import PLAIN_SHARE, HeadSpec, TrainingSpec
from analyze.head.training.training_set import TrainingData, UnseenPictures
from analyze.neighbors.novelty import TrainingVectors, kept_directions, threshold_of
from analyze.similarity import nearest_distances
from analyze.threads import one_thread_of_torch
from extract.errors import UsageError

if TYPE_CHECKING:
    import torch


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
    validation_logits : tuple of ndarray of shape (n_validation, n_classes), float32
        Of each output of the head that never trained on them, at its best epoch: for a
        temperature, thresholds.
    validation_labels : tuple of ndarray
        What each output should say of them, as in :class:`Goal`.
    validation_distances : ndarray of shape (n_validation,), float64, or None
        Of each to the nearest train row by the stage that was not trained on them; None where none
        was trained, and the distances are those of the stored vectors.
    rows : ndarray of int
        Of the training set: those that the head was trained on.
    stage : mapping of str to ndarray, optional
        The backbone's last stage, where it was trained.
    """

    head: Head
    curves: tuple[Epoch, ...]
    best_epoch: int
    stopped_epoch: int
    validation_logits: tuple[np.ndarray, ...]
    validation_labels: tuple[np.ndarray, ...]
    validation_distances: np.ndarray | None
    activation: Activation
    rows: np.ndarray
    seconds: float
    stage: Mapping[str, np.ndarray] | None = None

    def logits(self, tested: UnseenPictures) -> tuple[np.ndarray, ...]:
        """Answer for plain pictures: one ndarray an output."""
        return self.head.logits(tested.by(self.stage))

    def training_vectors(self, training_set: TrainingData) -> TrainingVectors:
        """Return the vectors it was trained on, by which unlike pictures are found."""
        near = self.validation_distances
        above = threshold_of(training_set.validation_distances if near is None else near)
        return TrainingVectors(kept_directions(training_set.plain.by(self.stage)[self.rows]), above)

    @cached_property
    def temperatures(self) -> tuple[float, ...]:
        """What each output's logits are divided by, of pictures that it had not trained on.

        1 where a temperature makes such pictures' labels less probable.
        """
        choose = self.activation.choose_temperature
        return tuple(map(choose, self.validation_logits, self.validation_labels))


def train_head(
    training_set: TrainingData,
    spec: HeadSpec | None = None,
    training: TrainingSpec | None = None,
    *,
    seed: int = 0,
    on_epoch: Callable[[int, Epoch], None] | None = None,
) -> Trained:
    """Train a head with early stopping, and keep its best epoch.

    On one thread, so that the same seed gives the same bits.

    Parameters
    ----------
    seed : int
        Of the first weights, the batches, the views drawn and the dropout.
    on_epoch : callable, optional
        Called with each epoch, from 1; may raise to give up.

    Raises
    ------
    UsageError
        When the loss is not a number from the start.
    """
    spec, training = spec or HeadSpec(), training or TrainingSpec()
    began = time.perf_counter()
    goal = training_set.goal()

    def started(rows: np.ndarray) -> _Run:
        smoothing, weights = training.label_smoothing, training.class_weights
        wanted = goal.loss(goal.wanted, rows, smoothing, weights)
        return _Run(_inputs(training_set, rows, training), rows, wanted, spec, training, seed)

    with one_thread_of_torch():
        run = started(training_set.train)
        curves, best, logits = _until_validation_stops(run, training_set.validation, on_epoch)
        head, stage = Head(spec, run.inputs.scaling, goal.classes, best.weights), best.stage
        near, rows = None, training_set.train
        if stage is not None:
            before = training_set.plain.by(stage)
            near = nearest_distances(kept_directions(before[rows]), before[training_set.validation])
        if training.refit:
            rows = np.arange(training_set.n_rows)
            again = started(rows)
            for _ in range(best.epoch):
                again.epoch()
            head = Head(spec, again.inputs.scaling, goal.classes, again.weights())
            stage = again.inputs.state()
    return Trained(
        head=head,
        curves=tuple(curves),
        best_epoch=best.epoch,
        stopped_epoch=len(curves),
        validation_logits=logits,
        validation_labels=goal.labels_of(training_set.validation),
        validation_distances=near,
        activation=goal.activation,
        rows=rows,
        seconds=time.perf_counter() - began,
        stage=stage,
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


@dataclass(frozen=True, eq=False)
class _Best:
    epoch: int
    loss: float
    weights: Mapping[str, np.ndarray]
    stage: Mapping[str, np.ndarray] | None = None


def _inputs(training_set: TrainingData, rows: np.ndarray, training: TrainingSpec) -> Inputs:
    if training.unfreeze == "none":
        return StoredVectors(training_set.directions, rows)
    if training_set.maps is None:
        raise ValueError("to train the last stage, what it reads must be given")
    return StageVectors(training_set.maps, training_set.directions, rows)


class _Run:
    """One network on its way: weights, optimizer, chance."""

    def __init__(
        self,
        inputs: Inputs,
        rows: np.ndarray,
        objective: Objective,
        spec: HeadSpec,
        training: TrainingSpec,
        seed: int,
    ) -> None:
        import torch

        self.inputs, self._objective = inputs, objective
        self._rows, self.training = rows, training
        n_dims = len(inputs.scaling.mean)
        self.network = build_network(n_dims, objective.n_classes, spec, seed)
        self._optimizer = _optimizer(self.network, inputs, training)
        self._random = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._dropout = torch.random.get_rng_state()

    def epoch(self) -> tuple[float, float]:
        """Train on every row once; the mean loss and accuracy on the way."""
        import torch

        losses, hits = 0.0, 0
        n_rows, n_views, training = len(self._rows), self.inputs.n_views, self.training
        self.network.train()
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(self._dropout)
            batches = epoch_batches(
                self._random, n_rows, n_views, training.batch_size, training.plain_share
            )
            for views, places in batches:
                rows = torch.from_numpy(self._rows[places])
                self._optimizer.zero_grad()
                logits = self._logits(torch.from_numpy(views), rows)
                loss = self._objective.training_loss(logits, rows)
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()
                losses += float(loss.detach()) * len(places)
                hits += self._objective.n_right([own.detach() for own in logits], rows)
            self._dropout = torch.random.get_rng_state()
        return losses / n_rows, hits / n_rows

    def evaluated(self, rows: np.ndarray) -> tuple[tuple[np.ndarray, ...], float, float]:
        """Answer for plain pictures: logits of each output, mean loss, accuracy."""
        import torch

        self.network.eval()
        with torch.inference_mode():
            chosen = torch.from_numpy(rows)
            plain = torch.full_like(chosen, PLAIN)
            logits = self._logits(plain, chosen)
            loss, right = self._objective.judged(logits, chosen)
        return tuple(own.numpy() for own in logits), loss, right

    def _logits(self, views: torch.Tensor, rows: torch.Tensor) -> list[torch.Tensor]:
        return forward(self.network, self.inputs.vectors(views, rows))

    def weights(self) -> dict[str, np.ndarray]:
        """Copy the weights as they are now."""
        return {k: v.detach().numpy().copy() for k, v in self.network.state_dict().items()}


def _until_validation_stops(
    run: _Run, validation: np.ndarray, on_epoch: Callable[[int, Epoch], None] | None
) -> tuple[list[Epoch], _Best, tuple[np.ndarray, ...]]:
    curves: list[Epoch] = []
    best = _Best(0, float("inf"), {})
    best_logits: tuple[np.ndarray, ...] = ()
    for number in range(1, run.training.epochs + 1):
        train_loss, train_accuracy = run.epoch()
        logits, loss, accuracy = run.evaluated(validation)
        if not np.isfinite([train_loss, loss]).all():
            break
        curves.append(Epoch(train_loss, train_accuracy, loss, accuracy))
        if on_epoch is not None:
            on_epoch(number, curves[-1])
        if loss < best.loss:
            best, best_logits = _Best(number, loss, run.weights(), run.inputs.state()), logits
        elif number - best.epoch >= run.training.patience:
            break
    if not best.epoch:
        raise UsageError("the loss is not a number from the start: give a lower --learning-rate")
    return curves, best, best_logits


def _optimizer(
    network: torch.nn.Module, inputs: Inputs, training: TrainingSpec
) -> torch.optim.Optimizer:
    import torch

    groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
    if stage := inputs.trained():
        groups.append({"params": stage, "lr": training.learning_rate * training.stage_rate})
    kinds: dict[str, Any] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    optimizer: torch.optim.Optimizer = kinds[training.optimizer](
        groups,
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=True,
    )
    return optimizer
