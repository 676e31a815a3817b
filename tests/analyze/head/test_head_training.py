"""Training on stored features: as with the pictures themselves, repeatable, blind to the test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from analyze.head.splitting.splits import Split
from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.head.training.head_training import Epoch, TrainingSpec, epoch_batches, train_head
from analyze.head.training.inputs import Scaling
from analyze.head.training.network import Head, HeadSpec, build_network, forward
from analyze.head.training.objective import LevelTargets, balanced_weights
from analyze.head.training.probabilities import softmax
from analyze.head.training.training_set import TrainingData, hold_out
from extract.errors import UsageError

Planted = tuple[np.ndarray, np.ndarray]
SMALL = HeadSpec(width=16)
QUICK = TrainingSpec(learning_rate=0.01, epochs=30, patience=5, batch_size=16)


def parted(planted: Planted, seed: int = 0) -> tuple[TrainingData, Split]:
    vectors, labels = planted
    split = StratifiedSplitter(labels, np.arange(len(labels))).at_once(seed)
    return hold_out(vectors, LevelTargets.of_one(labels), split)[0], split


def same_weights(one: Head, other: Head) -> bool:
    return one.weights.keys() == other.weights.keys() and all(
        one.weights[name].tobytes() == other.weights[name].tobytes() for name in one.weights
    )


def test_separable_classes_are_told_apart_without_a_miss(separated: Planted) -> None:
    vectors, labels = separated
    split = StratifiedSplitter(labels, np.arange(len(labels))).at_once()
    training_set, held_out = hold_out(vectors, LevelTargets.of_one(labels), split)
    trained = train_head(training_set, SMALL, QUICK)
    ((logits,),) = held_out.ask([trained.logits])
    assert (trained.head.classes[0][logits.argmax(axis=1)] == labels[split.test]).all()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_same_seed_gives_the_same_bits(few: Planted, depth: int) -> None:
    training_set, _ = parted(few)
    spec, brief = HeadSpec(width=16, depth=depth), replace(QUICK, epochs=6)
    first = train_head(training_set, spec, brief, seed=5)
    torch.rand(7)  # chance used elsewhere changes nothing
    before = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    again = train_head(training_set, spec, brief, seed=5)
    assert same_weights(first.head, again.head)
    assert first.curves == again.curves
    assert (torch.random.get_rng_state() == before).all()
    assert torch.get_num_threads() == threads
    assert not same_weights(first.head, train_head(training_set, spec, brief, seed=6).head)


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
@pytest.mark.parametrize("n_views", [0, 3])
def test_features_train_the_head_that_pictures_do(optimizer: str, n_views: int) -> None:
    """Trained by a plain loop that runs a frozen backbone on each batch's pictures."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pictures = random.normal(size=(n_views + 1, 60, 3, 8, 8)).astype(np.float32)
    pictures += labels[None, :, None, None, None] * 0.3
    torch.manual_seed(0)
    backbone = torch.nn.Sequential(
        torch.nn.Conv2d(3, 12, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
    )
    backbone.eval().requires_grad_(False)

    def embedded(batch: np.ndarray) -> np.ndarray:
        vectors: np.ndarray = backbone(torch.from_numpy(batch)).flatten(1).numpy()
        return vectors

    features = np.stack([embedded(view) for view in pictures])
    split = StratifiedSplitter(labels, np.arange(60)).at_once()
    training = TrainingSpec(
        optimizer, 0.01, epochs=6, patience=6, batch_size=8, label_smoothing=0.1, refit=False
    )
    spec = HeadSpec(width=10, dropout=0.3)
    trained = train_head(
        hold_out(features, LevelTargets.of_one(labels), split)[0], spec, training, seed=4
    )

    head = build_network(12, [3], spec, seed=4)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[optimizer]
    steps = kind(head.parameters(), lr=0.01, weight_decay=0.01)
    scaling = Scaling.learned(embedded(pictures[0, split.train]))
    draws = np.random.default_rng(4)
    torch.manual_seed(4)
    states = []
    for _ in range(trained.best_epoch):
        head.train()
        for views, places in epoch_batches(draws, len(split.train), n_views, 8):
            rows = split.train[places]
            batch = torch.from_numpy(scaling.apply(embedded(pictures[views, rows])))
            (logits,) = forward(head, batch)
            loss = torch.nn.functional.cross_entropy(
                logits, torch.from_numpy(labels[rows]), label_smoothing=0.1
            )
            steps.zero_grad()
            loss.backward()
            steps.step()
        states.append({k: v.clone() for k, v in head.state_dict().items()})
    assert trained.best_epoch >= 2
    for name, weights in states[-1].items():
        np.testing.assert_allclose(trained.head.weights[name], weights.numpy(), rtol=0, atol=1e-6)


def test_the_best_epoch_is_kept_and_patience_ends(overlapping: Planted) -> None:
    training_set, _ = parted(overlapping)
    training = TrainingSpec(learning_rate=0.02, epochs=200, patience=4, refit=False)
    trained = train_head(training_set, HeadSpec(width=32, dropout=0), training)
    losses = [epoch.validation_loss for epoch in trained.curves]
    assert trained.best_epoch == 1 + int(np.argmin(losses))
    assert trained.stopped_epoch == len(losses) == trained.best_epoch + 4 < 200
    rows = training_set.features[0, training_set.validation]
    (logits,) = trained.head.logits(rows)
    np.testing.assert_allclose(logits, trained.validation_logits[0], atol=1e-5)
    sure = np.take_along_axis(softmax(logits), trained.validation_labels[0][:, None], axis=1)
    assert -np.log(sure).mean() == pytest.approx(min(losses), rel=1e-4)
    assert losses[-1] > min(losses)


def test_refitting_uses_all_taught_rows_for_as_many_epochs(few: Planted) -> None:
    training_set, _ = parted(few)
    trained = train_head(training_set, SMALL, QUICK, seed=1)
    everything = np.arange(training_set.n_rows)
    whole = TrainingData(
        training_set.features, training_set.targets, everything, training_set.validation
    )
    for_as_many = TrainingSpec(
        learning_rate=0.01, epochs=trained.best_epoch, patience=99, batch_size=16, refit=False
    )
    seen: list[Epoch] = []
    again = train_head(
        whole, SMALL, for_as_many, seed=1, on_epoch=lambda _, epoch: seen.append(epoch)
    )
    assert len(seen) == trained.best_epoch
    assert again.best_epoch == trained.best_epoch  # the last epoch is the one that is kept
    assert same_weights(again.head, trained.head)
    assert (again.head.scaling.mean == trained.head.scaling.mean).all()


def test_the_test_rows_change_nothing_that_is_trained(few: Planted) -> None:
    vectors, labels = few
    split = StratifiedSplitter(labels, np.arange(len(labels))).at_once()
    views = np.stack([vectors, vectors + 0.1])
    changed, others = views.copy(), labels.copy()
    changed[:, split.test] = 1e6
    others[split.test] = (others[split.test] + 1) % 5
    training_set, _ = hold_out(views, LevelTargets.of_one(labels), split)
    elsewhere, _ = hold_out(changed, LevelTargets.of_one(others), split)
    one, other = (
        train_head(own, SMALL, replace(QUICK, epochs=6)).head for own in (training_set, elsewhere)
    )
    assert same_weights(one, other)


def test_the_test_rows_are_given_once(overlapping: Planted) -> None:
    vectors, labels = overlapping
    split = StratifiedSplitter(labels, np.arange(len(labels))).at_once()
    _, held_out = hold_out(np.stack([vectors, -vectors]), LevelTargets.of_one(labels), split)
    (seen,) = held_out.ask([lambda tested: tested.vectors])
    assert (seen == vectors[split.test]).all()
    with pytest.raises(RuntimeError, match="already"):
        held_out.ask([lambda tested: tested.vectors])


def test_an_epoch_draws_every_row_once_and_every_view() -> None:
    random = np.random.default_rng(0)
    drawn = list(epoch_batches(random, 400, 3, 64))
    assert [len(rows) for _, rows in drawn] == [64] * 6 + [16]
    rows = np.concatenate([rows for _, rows in drawn])
    assert sorted(rows.tolist()) == list(range(400))
    counts = np.bincount(np.concatenate([views for views, _ in drawn]))
    assert len(counts) == 4
    assert counts[0] == pytest.approx(200, abs=40)
    assert counts.min() > 40
    plain = np.concatenate([views for views, _ in epoch_batches(random, 400, 0, 64)])
    assert not plain.any()
    never = np.concatenate([views for views, _ in epoch_batches(random, 400, 2, 64, 0.0)])
    assert set(never.tolist()) == {1, 2}


def test_scaling_is_of_length_one_mean_zero_and_one_mean_square() -> None:
    vectors = np.random.default_rng(0).gamma(1, size=(50, 8)).astype(np.float32)
    scaling = Scaling.learned(vectors)
    scaled = scaling.apply(vectors)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    assert np.square(scaled).mean() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(scaling.apply(vectors * 7), scaled, atol=1e-5)
    flat = np.ones((4, 3), np.float32)
    assert not Scaling.learned(flat).apply(flat).any()


def test_class_weights_make_classes_count_alike() -> None:
    codes = np.repeat([0, 1], [30, 10])
    weights = balanced_weights(codes, 2)
    assert weights[codes].mean() == pytest.approx(1)
    assert weights[0] * 30 == pytest.approx(weights[1] * 10)


def test_class_weights_raise_the_recall_of_the_rare() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [270, 30])
    vectors = random.normal(size=(300, 6)).astype(np.float32)
    vectors[:, 0] += labels * 1.5
    split = StratifiedSplitter(labels, np.arange(300)).at_once()
    training_set, _ = hold_out(vectors, LevelTargets.of_one(labels), split)
    found = []
    for weighted in (False, True):
        training = TrainingSpec(learning_rate=0.03, class_weights=weighted, epochs=15)
        said = train_head(training_set, SMALL, training).head.logits(vectors)[0].argmax(axis=1)
        found.append((said[labels == 1] == 1).mean())
    assert found[1] > found[0] + 0.2


def test_several_levels_share_a_trunk() -> None:
    network = build_network(6, [3, 5], HeadSpec(width=4), seed=0)
    small, large = forward(network, torch.zeros(2, 6))
    assert (small.shape, large.shape) == ((2, 3), (2, 5))


def test_a_loss_that_is_no_number_is_one_clear_line(overlapping: Planted) -> None:
    training_set, _ = parted(overlapping)
    with pytest.raises(UsageError, match="lower --learning-rate"):
        train_head(training_set, SMALL, TrainingSpec(learning_rate=1e38))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: HeadSpec(width=0), "--width"),
        (lambda: HeadSpec(dropout=1), "--dropout"),
        (lambda: HeadSpec(depth=-1), "--depth"),
        (lambda: TrainingSpec(optimizer="sgd"), "--optimizer 'sgd'"),
        (lambda: TrainingSpec(learning_rate=0), "--learning-rate"),
        (lambda: TrainingSpec(weight_decay=-1), "--weight-decay"),
        (lambda: TrainingSpec(label_smoothing=1), "--label-smoothing"),
        (lambda: TrainingSpec(batch_size=0), "--batch-size"),
        (lambda: TrainingSpec(plain_share=1.5), "--plain-share"),
    ],
)
def test_wrong_settings_are_one_clear_line(make: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()  # type: ignore[operator]


def test_what_cannot_be_taught_is_refused(overlapping: Planted) -> None:
    training_set, _ = parted(overlapping)
    broken = training_set.features.copy()
    broken[0, 3, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        TrainingData(broken, training_set.targets, training_set.train, training_set.validation)
    with pytest.raises(ValueError, match="label"):
        TrainingData(
            training_set.features,
            LevelTargets(training_set.targets.codes - 1),
            training_set.train,
            training_set.validation,
        )
    same = np.flatnonzero(training_set.targets.codes[0] == 0)
    with pytest.raises(ValueError, match="two classes"):
        TrainingData(training_set.features, training_set.targets, same, training_set.validation)
