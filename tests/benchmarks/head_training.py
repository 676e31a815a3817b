"""What an epoch of a head costs: on stored vectors, on stored maps, and on the pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from analyze.head.splitting.stratified_splits import StratifiedSplitter
from analyze.head.training.head_training import TrainingSpec, epoch_batches, train_head
from analyze.head.training.inputs import Scaling, StageMaps
from analyze.head.training.network import HeadSpec, build_network, forward
from analyze.head.training.objective import LevelTargets
from analyze.head.training.training_set import TrainingData, hold_out
from extract.backbones.partial_finetuning import find_last_stage, stage_inputs
from extract.backbones.registry import Backbone, load_backbone
from extract.catalog.catalog import list_folder
from extract.images.augmentation import View, reference_pixels
from extract.images.reading import read_picture
from extract.machine.allocation import keep_freed_memory

SPEC = HeadSpec()
STORED_EPOCHS, PICTURE_EPOCHS = 10, 1


def measure(images: Path, model: str, pictures: int, views: int, rounds: int) -> None:
    """Print CPU seconds of an epoch, trained each way in turn, and their ratios."""
    keep_freed_memory()
    backbone = load_backbone(model)
    pixels = _pixels(images, backbone, pictures, views)
    stage = find_last_stage(backbone)
    features = np.stack([backbone.embed(own) for own in pixels])
    maps = np.stack([stage_inputs(backbone, stage.name, own).numpy() for own in pixels])
    labels = np.arange(pixels.shape[1]) % 7
    split = StratifiedSplitter(labels, np.arange(len(labels))).at_once()
    targets = LevelTargets.of_one(labels)
    training_set, _ = hold_out(features, targets, split, maps=StageMaps(stage, maps))
    own = pixels[:, torch.from_numpy(split.training_set)]
    ways: dict[str, Callable[[], float]] = {
        "stored vectors": lambda: _stored(training_set, "none"),
        "pictures, frozen backbone": lambda: _on_pictures(backbone, own, training_set, tuned=False),
        "stored maps, last stage trained": lambda: _stored(training_set, "last"),
        "pictures, last stage trained": lambda: _on_pictures(
            backbone, own, training_set, tuned=True
        ),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    torch.set_num_threads(1)
    for _ in range(rounds):
        for name, once in ways.items():
            found[name].append(once())
    medians = {name: float(np.median(seconds)) for name, seconds in found.items()}
    print(f"{model}: {len(split.train)} rows an epoch, {views} views, {rounds} rounds, one thread")
    for name, seconds in medians.items():
        print(f"  {name:34} {seconds:9.4f} s of CPU an epoch")
    kept, run, trained, whole = medians.values()
    print(f"  frozen: {run / kept:.0f} times quicker; last stage: {whole / trained:.1f} times")


def _pixels(images: Path, backbone: Backbone, pictures: int, views: int) -> torch.Tensor:
    catalog = list_folder(images)
    files = [read_picture(catalog.images_root, path) for path in catalog.paths[:pictures]]
    wanted = [None, *(View("catalog-1", 0, i + 1) for i in range(views))]
    seen = backbone.preprocessing
    return torch.stack([torch.stack([reference_pixels(f, seen, v) for f in files]) for v in wanted])


def _stored(training_set: TrainingData, unfreeze: str) -> float:
    """Train as ``analyze head`` does; validation is in it, which makes it the slower."""
    epochs = STORED_EPOCHS if unfreeze == "none" else PICTURE_EPOCHS
    training = TrainingSpec(epochs=epochs, patience=epochs, refit=False, unfreeze=unfreeze)
    given = training_set if unfreeze == "last" else replace(training_set, maps=None)
    began = time.process_time()
    train_head(given, SPEC, training)
    return (time.process_time() - began) / epochs


def _on_pictures(
    backbone: Backbone, pixels: torch.Tensor, training_set: TrainingData, *, tuned: bool
) -> float:
    """Run the whole backbone on each batch; pictures are decoded already."""
    stage = find_last_stage(backbone)
    model = stage.fresh().model if tuned else backbone.model
    scaling = Scaling.of_directions(training_set.directions[0, training_set.train])
    mean = torch.from_numpy(scaling.mean)
    network = build_network(len(scaling.mean), [7], SPEC, seed=0)
    trained = [*network.parameters(), *(p for p in model.parameters() if p.requires_grad)]
    steps = torch.optim.AdamW(trained, lr=3e-4, fused=True)
    draws, labels = np.random.default_rng(0), torch.from_numpy(training_set.targets.codes[0])
    began = time.process_time()
    for views, places in epoch_batches(draws, len(training_set.train), len(pixels) - 1, 64):
        rows = torch.from_numpy(training_set.train[places])
        with torch.set_grad_enabled(tuned):
            vectors = model(pixels[torch.from_numpy(views), rows])
        unit = torch.nn.functional.normalize(vectors)
        (logits,) = forward(network, (unit - mean) * scaling.factor)
        loss = torch.nn.functional.cross_entropy(logits, labels[rows])
        steps.zero_grad()
        loss.backward()
        steps.step()
    return time.process_time() - began
