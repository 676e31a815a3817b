"""Which backbones embed, as Python and the command line give it: nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from extract import command_line as cl
from extract.errors import UsageError
from extract.recipe import read_recipe

if TYPE_CHECKING:
    from extract.backbones.registry import Backbone
    from extract.workspace import AnyPath

DEFAULT_MODEL = "efficientnet_lite0"
OF_ALL_MODELS = ("pretrained", "random")
"""Weights that several models have; else they are those of one file."""


@dataclass(frozen=True)
class BackboneOptions:
    """Which backbones embed, with which weights, and how they see pictures.

    Names, weights, pooling and resize are as :func:`~extract.backbones.registry.load_backbone`
    takes them; a recipe fixes the model, and may fix the others but seed and device.

    Examples
    --------
    >>> from extract import BackboneOptions
    >>> BackboneOptions(model=["efficientnet_lite0"], resize="squash").settled().model
    ['efficientnet_lite0']
    """

    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Backbone: of python -m extract models, timm:NAME or hf:REPO; may be repeated. "
            f"Default: {DEFAULT_MODEL}.",
        ),
    ] = None
    weights: Annotated[
        str,
        typer.Option(metavar="pretrained|random|FILE", help="Random ones are drawn from --seed."),
    ] = "pretrained"
    pooling: Annotated[
        Literal["auto", "cls", "mean"],
        typer.Option(help="auto: the input of the model's own classifier."),
    ] = "auto"
    resize: Annotated[
        Literal["auto", "model", "crop", "squash", "pad"],
        typer.Option(help="auto: whole pictures, padded with white; model: as the weights came."),
    ] = "auto"
    recipe: cl.RecipeOption = None
    seed: cl.SeedOption = 0
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")] = (
        "auto"
    )
    engine: Annotated[
        Literal["local", "gpus"],
        typer.Option(help="gpus: all GPUs of this machine, a process for each."),
    ] = "local"

    @cached_property
    def fixed(self) -> Mapping[str, Any]:
        """What the recipe fixes of these options; nothing without one."""
        if self.recipe is None:
            return {}
        fixed = vars(read_recipe(self.recipe).extract)
        return {name: value for name, value in fixed.items() if value is not None}

    def devices(self) -> tuple[str, ...]:
        """Give the devices that compute in processes of their own; none with one engine, local.

        Raises
        ------
        UsageError
            When this machine has no GPU, or one device is named too.
        """
        if self.engine == "local":
            return ()
        import torch

        if self.device not in ("auto", "cuda"):
            raise UsageError(f"--engine gpus takes all GPUs, not --device {self.device}: leave one")
        if not torch.cuda.is_available():
            raise UsageError("--engine gpus needs GPUs, and this machine has none: leave it out")
        return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))

    def settled(self) -> BackboneOptions:
        """Return these options with what the recipe fixes, and a model where none is named.

        Raises
        ------
        UsageError
            When there is no such model, or an option for one model is given with several.
        """
        from extract.backbones.registry import check_name

        fixed = {**self.fixed, "model": [self.fixed["model"]]} if self.fixed else {}
        chosen = replace(self, **({"model": self.model or [DEFAULT_MODEL]} | fixed))
        names = chosen.model or []
        for name in names:
            check_name(name)
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled:
            raise UsageError(f"--model {doubled} is given twice: once is enough")
        if len(names) > 1 and chosen.weights not in OF_ALL_MODELS:
            raise UsageError("--weights FILE is of one model: embed each with a command of its own")
        return chosen

    def load(self, kept_in: AnyPath | None = None) -> list[Backbone]:
        """Return the backbones, all there before a picture is read: none is missing at the end.

        Parameters
        ----------
        kept_in : path, optional
            As of :func:`~extract.backbones.kept_backbones.load_kept`.
        """
        from extract.backbones.kept_backbones import keep, load_kept

        folder = Path(kept_in) if kept_in is not None else None
        backbones, how = [], {k: getattr(self, k) for k in ("weights", "seed", "pooling", "resize")}
        for name in self.model or [DEFAULT_MODEL]:
            cl.log.debug(f"loading {name}")
            backbones.append(load_kept(name, folder, **how, write=False))
        for backbone in backbones:  # nothing is written where one of them is refused
            keep(backbone)
        return backbones
