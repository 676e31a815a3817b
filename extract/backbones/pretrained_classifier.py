"""A backbone's own classifier, from the weights that its vectors came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from extract.backbones.classifiers import no_classifier
from extract.backbones.registry import Backbone, find_checkpoint, find_model
from extract.errors import WeightsError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class PretrainedClassifier:
    """The classifier that the backbone itself was trained with.

    Parameters
    ----------
    module : torch.nn.Module
        Vectors of shape (n, n_dims) -> logits of shape (n, n_classes).
    classes : tuple of str
        ImageNet's names where the number of classes is one of its own; else numbers.
    """

    module: torch.nn.Module
    classes: tuple[str, ...]


def load_pretrained_classifier(
    backbone: Backbone, weights_file: Path | None = None
) -> PretrainedClassifier:
    """Build the classifier that belongs to a backbone.

    Parameters
    ----------
    backbone : Backbone
    weights_file : Path, optional
        Needed where its weights came from a file.

    Raises
    ------
    WeightsError
        When the weights are not to be had, or hold no classifier.
    UsageError
        When its own classifier reads another vector.
    """
    model, _ = find_model(backbone.name)
    if model.pooling not in ("auto", backbone.pooling):
        raise no_classifier(f"{backbone.name} with --pooling {backbone.pooling}")
    source = backbone.weights["source"]
    if source == "file" and weights_file is None:
        raise WeightsError(
            f"the weights of {backbone.name} came from a file: give it with --weights"
        )
    checkpoint = find_checkpoint(backbone.name, str(weights_file or source))
    module = model.classifier(int(backbone.weights.get("seed", 0)), checkpoint)
    n_classes = next(reversed(module.state_dict().values())).shape[0]
    return PretrainedClassifier(module.requires_grad_(False), imagenet_names(n_classes))


def imagenet_names(n_classes: int) -> tuple[str, ...]:
    """Name the classes of an ImageNet classifier by their count; others are called by numbers."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": n_classes})
    if subset is None:
        return tuple(map(str, range(n_classes)))
    known = ImageNetInfo(subset)
    return tuple(known.index_to_description(number) for number in range(n_classes))
