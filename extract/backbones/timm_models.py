"""Models of timm, headless: how one is built, what its vector is, where its weights are."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from extract.backbones.classifiers import fit_classifier, no_classifier, take_classifier_off
from extract.backbones.hub import cached_on_hub, download_to_torch_home, find_on_hub
from extract.backbones.weights import (
    Checkpoint,
    Headless,
    fit,
    match_names,
    tensors_sha256,
    translated,
)
from extract.errors import UsageError, WeightsError
from extract.transforms.preprocessing import Preprocessing

GEOMETRIES = {"center": "crop", "squash": "squash"}
"""timm's words for what we build."""


@dataclass(frozen=True)
class TimmModel:
    """One model of timm.

    Parameters
    ----------
    architecture : str
        timm's name.
    tag : str
        Of its weights; empty where timm knows none.
    pooling : str
        What gives the vector that the model's own classifier uses: ``mean``, ``cls`` or the name
        of a layer.
    """

    architecture: str
    tag: str
    pooling: str = "head"

    @property
    def tagged(self) -> str:
        """Architecture and tag, as timm spells them."""
        return f"{self.architecture}.{self.tag}" if self.tag else self.architecture

    @property
    def on_hub(self) -> tuple[str, str | None] | None:
        """The repository of the weights on the Hugging Face hub, and their file if it is named."""
        settings = self._settings()
        return (settings.hf_hub_id, settings.hf_hub_filename) if settings.hf_hub_id else None

    def preprocessing(self, resize: str = "model") -> Preprocessing:
        """Take the transform that comes with the tag, or another geometry; also for random weights.

        Raises
        ------
        UsageError
            When the model sees no square, or its own geometry is requested and is none of ours.
        """
        settings = self._settings()
        _, height, width = settings.input_size
        if height != width:
            raise UsageError(f"{self.tagged} sees {width} x {height} pixels; only squares are made")
        own = GEOMETRIES.get(settings.crop_mode)
        if own is None and resize == "model":
            raise UsageError(
                f"{self.tagged} prepares pictures in a way of its own ({settings.crop_mode}): "
                "choose --resize auto, crop, squash or pad"
            )
        return Preprocessing(
            size=height,
            resize=own or "crop",
            crop_pct=settings.crop_pct,
            interpolation=settings.interpolation,
            mean=tuple(settings.mean),
            std=tuple(settings.std),
        ).resized(resize, any_size=not settings.fixed_input_size)

    def has_known_preprocessing(self) -> bool:
        """Whether its transform is known without a network: timm carries it along."""
        return True

    def headless(self, seed: int, checkpoint: Checkpoint | None, pooling: str) -> Headless:
        """Build the model without its classifier: of a checkpoint, or random, drawn from a seed.

        Raises
        ------
        WeightsError
            When the checkpoint does not fit.
        UsageError
            When the model has nothing to pool that way.
        """
        import timm
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # timm draws the weights when it builds the model
            model = timm.create_model(self.architecture, pretrained=False)
        named = _named(model, checkpoint) if checkpoint else None
        taken_off = take_classifier_off(model)
        if checkpoint and named:
            fit(model, named, checkpoint.source, taken_off)
        sha256 = tensors_sha256(model)
        if pooling in ("auto", self.pooling):
            return Headless(model, self.pooling, sha256)
        return Headless(_pooled(model, pooling, self.tagged), pooling, sha256)

    def classifier(self, seed: int, checkpoint: Checkpoint | None) -> Any:
        """Build the model's own classifier alone: headless vectors in, logits out.

        Raises
        ------
        WeightsError
            When the checkpoint holds none, or one of other classes.
        UsageError
            When it is not one classifier of these vectors alone.
        """
        import timm
        import torch

        # only the tag knows how many classes its checkpoint has
        name = self.tagged if checkpoint else self.architecture
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = timm.create_model(name, pretrained=False).eval()
        named = translated(model, _named(model, checkpoint)) if checkpoint else None
        path, classifier = _only_classifier(model, self._settings().input_size, f"timm:{name}")
        if checkpoint and named:
            fit_classifier(classifier, named, (f"{path}.",), checkpoint.source)
        return classifier

    def find_weights(self, name: str) -> Path:
        """Find the tag's checkpoint in a cache, or download it there.

        Raises
        ------
        WeightsError
            When it is not to be had, or timm knows no weights of this architecture.
        """
        settings, on_hub = self._settings(), self.on_hub
        if on_hub:
            repo, file = on_hub
            return find_on_hub(repo, name, file)
        if settings.url:
            return download_to_torch_home(settings.url, name)
        raise WeightsError(
            f"timm knows no weights of {self.tagged}: give a file with --weights FILE"
        )

    def weights_are_cached(self) -> bool:
        """Whether the hub's cache holds the tag's checkpoint, without loading timm."""
        return cached_on_hub(f"timm/{self.tagged}") is not None

    def _settings(self) -> Any:
        from timm.models import get_pretrained_cfg

        return get_pretrained_cfg(self.tagged)


def find_timm_model(name: str) -> TimmModel:
    """Find a model by timm's name, with a tag or with timm's default one.

    Raises
    ------
    UsageError
        With the names that are nearest, or the tags there are.
    """
    import timm
    from timm.models import get_pretrained_cfg

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "see timm.list_models()"
        raise UsageError(f"timm has no model {architecture!r}: {hint}")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UsageError(f"timm has no {name!r}: its tags are {', '.join(tags) or 'none'}")
    settings = get_pretrained_cfg(architecture)
    return TimmModel(architecture, tag or str(getattr(settings, "tag", None) or ""))


def _named(model: Any, checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Give a checkpoint's tensors the names of the whole model."""
    tensors = checkpoint.tensors
    return match_names(model, tensors) if checkpoint.in_order else tensors


def _only_classifier(model: Any, input_size: tuple[int, ...], name: str) -> tuple[str, Any]:
    """Take a model's classifier off, where its logits depend on the vectors alone.

    Several heads are averaged, read tokens of their own, or each place of a map.
    """
    import torch

    pixels = torch.linspace(-1, 1, math.prod(input_size)).view(1, *input_size)
    with torch.inference_mode():
        logits = model(pixels)
        taken = take_classifier_off(model)
        vectors = model(pixels)
        for path, classifier in taken.items() if len(taken) == 1 else ():
            with suppress(RuntimeError):  # of a convolution, which reads maps
                if torch.allclose(classifier(vectors), logits, rtol=1e-4, atol=1e-5):
                    return path, classifier
    raise no_classifier(name)


def _pooled(model: Any, pooling: str, name: str) -> Any:
    """Pool what timm's ``forward_features`` gives."""
    from extract.backbones.pooling import (
        Pooled,
        class_token,
        mean_over_places,
        no_class_token,
        no_pooling,
    )

    if pooling == "mean":
        pool = partial(
            mean_over_places,
            n_prefix_tokens=getattr(model, "num_prefix_tokens", 0),
            channels_last=getattr(model, "output_fmt", "NCHW") == "NHWC",
        )
        return Pooled(model, model.forward_features, pool)
    if pooling != "cls":
        raise no_pooling(name, pooling)
    if getattr(model, "cls_token", None) is None:
        raise no_class_token(name)
    return Pooled(model, model.forward_features, class_token)
