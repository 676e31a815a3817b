"""A backbone split before its last stage: its inputs are computed once, then it is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from extract.backbones.registry import TUNED, Backbone
from extract.errors import UsageError, WeightsDiffer

SAME = 1e-3
"""Share of its length by which a vector computed in two parts may differ from one of the whole."""


class _Reached(Exception):
    """The last stage is about to be run."""

    def __init__(self, inputs: torch.Tensor) -> None:
        self.inputs = inputs


@dataclass(frozen=True, eq=False)
class LastStage:
    """The end of a backbone: its last stage and all that follows it.

    The model is run as it is: in front of the stage one blank picture passes, in its place come the
    stage's own inputs. So nothing need be known of how a model is put together.

    Parameters
    ----------
    model : torch.nn.Module
        Headless, in evaluation mode: nothing that normalises learns, and nothing is dropped.
    name : str
        Of the stage, as its library calls it.
    size : int
        Pixels a side of the model's pictures.
    weights : tuple of str
        Names of what is trained: all that the vectors depend on from the stage on.
    """

    model: torch.nn.Module
    name: str
    size: int
    weights: tuple[str, ...]

    def vectors(self, inputs: torch.Tensor) -> torch.Tensor:
        """Give the vectors of a stage's inputs; tensor of shape (n, n_dims), with gradients."""
        device = inputs.device
        blank = torch.zeros(1, 3, self.size, self.size, device=device)
        with _in_front_of(self.model, self.name, lambda args: (inputs, *args[1:])):
            found: torch.Tensor = self.model(blank)
        return found

    def fresh(self) -> LastStage:
        """Give a copy in which these weights can be trained, and no others."""
        own = replace(self, model=deepcopy(self.model))
        for name, parameter in own.model.named_parameters():
            parameter.requires_grad_(name in self.weights)
        return own

    def trained(self) -> list[torch.nn.Parameter]:
        """Give what is trained."""
        named = dict(self.model.named_parameters())
        return [named[name] for name in self.weights]

    def state(self) -> dict[str, np.ndarray]:
        """Copy what is trained as it is now."""
        named = dict(self.model.named_parameters())
        return {name: named[name].detach().cpu().numpy().copy() for name in self.weights}

    def restored(self, state: Mapping[str, np.ndarray]) -> LastStage:
        """Give a copy with other weights."""
        own = self.fresh()
        _put(own.model, state)
        return own


def find_last_stage(backbone: Backbone) -> LastStage:
    """Split a backbone before its last stage, and prove that both parts together give its vectors.

    Raises
    ------
    UsageError
        When it cannot be split.
    """
    name, size = _name_of(backbone), backbone.preprocessing.size
    whole = LastStage(backbone.model, name, size, ())
    ramp = torch.linspace(-1, 1, 2 * 3 * size * size, device=backbone.device)
    pixels = torch.cat([ramp.view(2, 3, size, size), ramp.flip(0).view(2, 3, size, size)])
    try:
        inputs = stage_inputs(backbone, whole.name, pixels)
        tried = replace(whole, model=deepcopy(backbone.model).requires_grad_(True))
        vectors = tried.vectors(inputs)
        with torch.inference_mode():
            expected = backbone.model(pixels)
        apart = float((vectors.detach() - expected).norm()) / float(expected.norm())
        vectors.sum().backward()  # type: ignore[no-untyped-call]
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise _cannot_split(backbone) from error
    if not apart <= SAME:
        raise _cannot_split(backbone)
    reached = [n for n, p in tried.model.named_parameters() if p.grad is not None]
    return replace(whole, weights=tuple(reached))


def stage_inputs(backbone: Backbone, name: str, pixels: torch.Tensor) -> torch.Tensor:
    """Run a backbone up to its last stage, without gradients.

    Parameters
    ----------
    backbone : Backbone
    name : str
        Of the stage.
    pixels : tensor of shape (n, 3, size, size), float32

    Returns
    -------
    tensor of shape (n, ...)
        On the backbone's device.
    """

    def stop(args: tuple[Any, ...]) -> tuple[Any, ...]:
        raise _Reached(args[0])

    with torch.no_grad(), _in_front_of(backbone.model, name, stop):
        try:
            backbone.model(pixels.to(backbone.device))
        except _Reached as reached:
            return reached.inputs
    raise _cannot_split(backbone)


def tuned(backbone: Backbone, state: Mapping[str, np.ndarray]) -> Backbone:
    """Put trained weights into a backbone; its vectors mean something else from then on.

    Raises
    ------
    WeightsDiffer
        When it has no such weights.
    """
    model = deepcopy(backbone.model)
    try:
        _put(model, state)
    except (KeyError, RuntimeError, TypeError) as error:
        raise WeightsDiffer(
            f"the trained stage does not fit {backbone.name}: it is of another backbone"
        ) from error
    weights = {**backbone.weights, TUNED: state_sha256(state)}
    return replace(backbone, network=model, weights=weights, kept=None)


def tuned_identity(identity: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Give the identity of vectors that come out of a trained stage."""
    return {**identity, "weights": {**identity["weights"], TUNED: state_sha256(state)}}


def untuned_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Give the identity of the vectors that the stage was trained from."""
    weights = {key: value for key, value in identity["weights"].items() if key != TUNED}
    return {**identity, "weights": weights}


def state_sha256(state: Mapping[str, np.ndarray]) -> str:
    """Hash trained weights: names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, values in sorted(state.items()):
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _put(model: torch.nn.Module, state: Mapping[str, np.ndarray]) -> None:
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name, values in state.items():
            if named[name].shape != values.shape:
                raise KeyError(name)
            named[name].copy_(torch.from_numpy(np.array(values)))


@contextmanager
def _in_front_of(model: torch.nn.Module, name: str, put: Any) -> Iterator[None]:
    """Let something happen to what a module is given, for one run of the model."""
    handle = model.get_submodule(name).register_forward_pre_hook(lambda _, args: put(args))
    try:
        yield
    finally:
        handle.remove()


def _name_of(backbone: Backbone) -> str:
    """Name the last stage: by timm's own list of them, else the last of the outermost blocks."""
    model: Any = backbone.model
    prefix = ""
    if not hasattr(model, "feature_info") and hasattr(model, "model"):
        model, prefix = model.model, "model."
    info = getattr(model, "feature_info", None)
    if info:
        listed = info if isinstance(info, list) else info.info
        return prefix + str(listed[-1]["module"])
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) > 1:
            return f"{prefix}{name}.{len(module) - 1}"
    raise _cannot_split(backbone)


def _cannot_split(backbone: Backbone) -> UsageError:
    return UsageError(
        f"the last stage of {backbone.name} cannot be trained apart from the rest: leave "
        "--unfreeze out, or take a backbone of the table"
    )
