"""The last stage trained with a head: equal to training the whole model on its pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analyze.head.assessment import FROZEN, assess_head
from analyze.head.figures.head_figures import figures_of
from analyze.head.prediction.head_file import read_head, write_head
from analyze.head.reporting.tables import tables_of
from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.head.training.head_training import TrainingSpec, epoch_batches, train_head
from analyze.head.training.inputs import Scaling, StageMaps
from analyze.head.training.network import HeadSpec, build_network, forward
from analyze.head.training.objective import LevelTargets
from analyze.head.training.plan import Plan
from analyze.head.training.training_set import UnseenPictures, hold_out
from analyze.head.tuning import search
from analyze.head.tuning.search import Choices
from analyze.head.tuning.trial_storage import trials_file
from extract.backbones.partial_finetuning import find_last_stage, stage_inputs
from extract.backbones.registry import Backbone, load_backbone
from extract.catalog.multi_label import MultiLabel
from extract.errors import HeadFileError, UsageError
from extract.storage.embeddings import EmbeddingSet

Make = Callable[..., EmbeddingSet]
SPEC = HeadSpec(width=6, dropout=0.0)
TRAINING = TrainingSpec(
    learning_rate=0.01, epochs=3, patience=3, batch_size=8, refit=False, unfreeze="last"
)
N, N_VIEWS = 24, 1


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone("timm:test_convnext", weights="random")


@pytest.fixture(scope="module")
def pixels(backbone: Backbone) -> torch.Tensor:
    """Two classes: light and dark, in noise."""
    size = backbone.preprocessing.size
    noise = torch.randn(N_VIEWS + 1, N, 3, size, size, generator=torch.manual_seed(1))
    return noise + (torch.arange(N) % 2)[None, :, None, None, None]


@pytest.fixture(scope="module")
def maps(backbone: Backbone, pixels: torch.Tensor) -> StageMaps:
    stage = find_last_stage(backbone)
    read = [stage_inputs(backbone, stage.name, view).numpy() for view in pixels]
    return StageMaps(stage, np.stack(read))


@pytest.fixture(scope="module")
def features(backbone: Backbone, pixels: torch.Tensor) -> np.ndarray:
    return np.stack([backbone.embed(view) for view in pixels])


LABELS = np.arange(N) % 2
SPLIT = StratifiedSplitter(LABELS, np.arange(N)).at_once()


def test_stored_maps_train_what_pictures_do(
    backbone: Backbone, pixels: torch.Tensor, maps: StageMaps, features: np.ndarray
) -> None:
    """Trained by a plain loop that runs the whole backbone on each batch's pictures."""
    training_set, _ = hold_out(features, LevelTargets.of_one(LABELS), SPLIT, maps=maps)
    trained = train_head(training_set, SPEC, TRAINING, seed=3)
    whole = maps.stage.fresh().model
    head = build_network(features.shape[2], [2], SPEC, seed=3)
    names = dict(whole.named_parameters())
    stage = [names[name] for name in maps.stage.weights]
    groups = [{"params": list(head.parameters())}, {"params": stage, "lr": 0.001}]
    steps = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.01)
    scaling = Scaling.learned(features[0, SPLIT.train])
    draws = np.random.default_rng(3)
    for _ in range(trained.best_epoch):
        for views, places in epoch_batches(draws, len(SPLIT.train), N_VIEWS, 8):
            rows = SPLIT.train[places]
            vectors = whole(pixels[torch.from_numpy(views), torch.from_numpy(rows)])
            unit = torch.nn.functional.normalize(vectors)
            (logits,) = forward(head, (unit - torch.from_numpy(scaling.mean)) * scaling.factor)
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(LABELS[rows]))
            steps.zero_grad()
            loss.backward()
            steps.step()
    assert trained.stage is not None
    before = maps.stage.state()
    moved = max(float(np.abs(v - before[n]).max()) for n, v in trained.stage.items())
    assert moved > 1e-3
    for name, values in trained.stage.items():
        np.testing.assert_allclose(values, names[name].detach().numpy(), rtol=0, atol=2e-4)
    for name, weights in trained.head.weights.items():
        expected = head.state_dict()[name].numpy()
        np.testing.assert_allclose(weights, expected, rtol=0, atol=2e-4)


def test_the_same_seed_gives_the_same_bits(maps: StageMaps, features: np.ndarray) -> None:
    training_set, _ = hold_out(features, LevelTargets.of_one(LABELS), SPLIT, maps=maps)
    one, other = (train_head(training_set, SPEC, replace(TRAINING, refit=True)) for _ in range(2))
    assert one.stage is not None
    assert other.stage is not None
    for name, values in one.stage.items():
        assert values.tobytes() == other.stage[name].tobytes()
    # what is far is asked of the stage that never trained on the validation pictures
    before = train_head(training_set, SPEC, TRAINING)
    assert before.stage is not None
    unit = maps.embedded(before.stage)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    nearest = (unit[SPLIT.validation] @ unit[SPLIT.train].T).max(axis=1)
    np.testing.assert_allclose(one.validation_distances, 1 - nearest, atol=1e-4)
    kept = one.training_vectors(training_set).directions.astype(np.float32)
    unit = maps.take(SPLIT.training_set).embedded(one.stage)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(kept, unit, atol=1e-3)  # refitted: validation pictures too


def test_the_stage_is_asked_about_tested_pictures_and_kept(
    maps: StageMaps, features: np.ndarray, embeddings_of: Make, tmp_path: Path
) -> None:
    embeddings = embeddings_of(features[0], LABELS)
    identity = {"weights": {"source": "random"}, "backbone": "tiny"}
    provenance = replace(embeddings.provenance, identity=identity)
    plan = Plan(n_seeds=2, head=SPEC, training=TRAINING, n_resamples=100)
    report = assess_head(replace(embeddings, provenance=provenance), plan=plan, maps=maps)
    assert set(report.baselines) == {"logistic_regression", "knn", FROZEN}
    run = report.runs[1]
    again = run.trained.logits(UnseenPictures(features[0], maps.take(run.split.test)))[0]
    np.testing.assert_array_equal(again, report.logits[1, run.split.test])
    stored = report.stored(provenance)
    read = read_head(write_head(tmp_path, stored))
    assert read.provenance.identity_sha256 == stored.provenance.identity_sha256
    assert read.provenance.identity["weights"]["tuned"]
    for name, values in stored.stage.items():
        assert read.stage[name].tobytes() == values.tobytes()
    vectors = maps.embedded(read.stage)
    np.testing.assert_array_equal(
        read.head.logits(vectors)[0], report.final.logits(UnseenPictures(features[0], maps))[0]
    )
    assert read.vectors is not None
    assert read.vectors.distances(vectors[run.split.train]).max() < 1e-5
    content = bytearray((tmp_path / "head.safetensors").read_bytes())
    content[-3] ^= 1
    (tmp_path / "head.safetensors").write_bytes(content)
    with pytest.raises(HeadFileError):
        read_head(tmp_path / "head.json")


@pytest.mark.parametrize("kind", ["levels", "several labels"])
def test_the_stage_is_trained_by_labels_of_every_kind(
    kind: str, maps: StageMaps, features: np.ndarray, embeddings_of: Make, tmp_path: Path
) -> None:
    quarters = [
        f"{light} > {half}" for light, half in zip(LABELS, np.arange(N) % 4 // 2, strict=True)
    ]
    embeddings = embeddings_of(features[0], LABELS, quarters)
    if kind == "several labels":
        rows = [("light",) * int(light) + ("any",) for light in LABELS]
        tags = MultiLabel.from_values("tags", rows)
        embeddings = replace(embeddings, levels=(), multi_labels=(tags,))
    identity = {"weights": {"source": "random"}, "backbone": "tiny"}
    provenance = replace(embeddings.provenance, identity=identity)
    embeddings = replace(embeddings, provenance=provenance)
    n_levels = 2 if kind == "levels" else 1
    plan = Plan(n_seeds=1, n_levels=n_levels, head=SPEC, training=TRAINING, n_resamples=100)
    report = assess_head(embeddings, plan=plan, maps=maps)
    (run,) = report.runs
    assert run.trained.stage is not None
    before = maps.stage.state()
    assert max(float(np.abs(v - before[n]).max()) for n, v in run.trained.stage.items()) > 1e-3
    said = report.to_json()
    assert FROZEN in said["baselines"]
    assert all(FROZEN in level["baselines"] for level in said.get("levels", ()))
    assert FROZEN in "".join("".join(map(str, row)) for row in tables_of(report)["folds.csv"])
    assert all(draw().axes for draw in figures_of(report).values())
    read = read_head(write_head(tmp_path, report.stored(provenance)))
    own = run.trained.logits(UnseenPictures(features[0], maps))
    for kept, there in zip(own, read.head.logits(maps.embedded(read.stage)), strict=True):
        np.testing.assert_array_equal(kept, there)


def test_whether_the_stage_stays_frozen_is_searched_where_asked_for(
    maps: StageMaps, features: np.ndarray, tmp_path: Path
) -> None:
    space = search.space_around(SPEC, TRAINING)
    assert space["unfreeze"] == Choices(("none", "last"))
    frozen = replace(TRAINING, unfreeze="none")
    assert "unfreeze" not in search.space_around(SPEC, frozen)
    assert search.settled(SPEC, TRAINING, {"unfreeze": "none"})[1].unfreeze == "none"
    training_set, _ = hold_out(features, LevelTargets.of_one(LABELS), SPLIT, maps=maps)
    other = replace(
        maps, stage=maps.stage.restored({n: v + 1 for n, v in maps.stage.state().items()})
    )
    files = {
        trials_file(tmp_path, replace(training_set, maps=own), SPEC, TRAINING, space, 0)
        for own in (maps, other, replace(maps, device="cuda"))
    }
    assert len(files) == 3


def test_what_does_not_go_together_is_said() -> None:
    with pytest.raises(UsageError, match="no --unfreeze 'all': give none or last"):
        TrainingSpec(unfreeze="all")
    with pytest.raises(UsageError, match="--stage-rate must be above 0"):
        TrainingSpec(stage_rate=0)
