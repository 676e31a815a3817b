"""Whether models of timm take their own full checkpoints, and what of them the vector is.

No weights are fetched: a model's are drawn, those of the part that holds its classifier once more,
so that a norm in it is none that changes nothing, and all of it is written as safetensors.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file

from extract.backbones.registry import load_backbone
from extract.errors import SosieError

RELATIVE = 1e-4
"""Of the largest number: weights that are drawn may give vectors of any size."""


def measure(count: int, seed: int, most_parameters: float, only: list[str] | None) -> None:
    """Print a line for each model that is not plain, then how many are of each kind.

    Parameters
    ----------
    count, seed : int
        How many of timm's architectures with published weights are drawn, and by which seed.
    most_parameters : float
        Of larger ones others are drawn.
    only : list of str, optional
        These architectures.
    """
    started, kinds = time.perf_counter(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name in only or _drawn(count, seed, most_parameters):
            try:
                kind = tried(name, Path(folder) / "whole.safetensors")
            except SosieError as error:
                kind = f"refused: {error}"
            except Exception as error:  # noqa: BLE001 - as a user would meet it
                kind = f"ended in {type(error).__name__}: {error}"
            kinds[kind.partition(":")[0]] += 1
            if kind != PLAIN:
                print(f"{name}: {kind}", flush=True)
    for kind, n in kinds.most_common():
        print(f"{n} of {kinds.total()} {kind}")
    print(f"{time.perf_counter() - started:.0f} s")


PLAIN = "taken, the vector is what the classifier reads"


def tried(name: str, path: Path) -> str:
    """Write a model's checkpoint, load it as a user would, and say what its vector is."""
    torch.manual_seed(1)
    whole = timm.create_model(name, pretrained=False).eval()
    heads = dict(_heads(whole))
    with torch.no_grad():
        for part in {path.partition(".")[0] for path in heads}:
            for tensor in whole.get_submodule(part).state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand(tensor.shape) + 0.1)
    save_file({k: v.clone().contiguous() for k, v in whole.state_dict().items()}, path)
    backbone = load_backbone(f"timm:{name}", weights=str(path), resize="pad")
    side = backbone.preprocessing.size
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    vectors = torch.from_numpy(backbone.embed(pixels))
    return _kind_of(vectors, heads, _read_by(heads, whole, pixels))


def _drawn(count: int, seed: int, most_parameters: float) -> Iterator[str]:
    """Draw architectures, leaving out those that are too large."""
    names = sorted({name.partition(".")[0] for name in timm.list_pretrained()})
    random.Random(seed).shuffle(names)
    found = 0
    for name in names:
        if found == count:
            return
        with torch.device("meta"):
            n = sum(p.numel() for p in timm.create_model(name, pretrained=False).parameters())
        if n < most_parameters:
            found += 1
            yield name


def _heads(whole: Any) -> Iterator[tuple[str, torch.nn.Module]]:
    """Find what timm calls the classifier: one module, or several, in lists too."""
    paths = {module: path for path, module in whole.named_modules()}
    left = [whole.get_classifier()]
    while left:
        part = left.pop(0)
        if isinstance(part, tuple | torch.nn.ModuleList):
            left += part
        else:
            yield paths[part], part


def _read_by(
    heads: dict[str, torch.nn.Module], whole: Any, pixels: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Say what reaches each head, the modules around it and those in it, when the model runs."""
    read: dict[str, torch.Tensor] = {}
    for path, module in whole.named_modules():

        def keep(_module: Any, inputs: tuple[Any, ...], path: str = path) -> None:
            if isinstance(inputs[0], torch.Tensor):
                # of tokens that are all turned into logits the first is taken
                read[path] = inputs[0][:, 0] if inputs[0].ndim == 3 else inputs[0].flatten(1)

        if path and any(_is_within(path, head) or _is_within(head, path) for head in heads):
            module.register_forward_pre_hook(keep)
    with torch.inference_mode():
        whole(pixels)
    return read


def _is_within(path: str, other: str) -> bool:
    return f"{path}.".startswith(f"{other}.")


def _kind_of(vectors: torch.Tensor, heads: Iterable[str], read: dict[str, torch.Tensor]) -> str:
    same = [path for path, tensor in read.items() if _equal(vectors, tensor)]
    if all(any(_is_within(path, head) for path in same) for head in heads):
        return PLAIN
    if all(any(_is_within(head, path) for path in same) for head in heads):
        return f"{PLAIN}, from a norm on: {', '.join(same)}"
    named, inputs = ", ".join(heads), list[torch.Tensor]()
    for head in heads:  # two may read the same
        if not any(torch.equal(read[head], other) for other in inputs):
            inputs.append(read[head])
    if len({tensor.shape for tensor in inputs}) == 1 and _equal(
        vectors, torch.stack(inputs).mean(dim=0)
    ):
        return f"taken, the vector is the mean of what several heads read: {named}"
    if _equal(vectors, torch.cat(inputs, dim=1)):
        return f"taken, the vector is what several heads read, joined: {named}"
    return f"taken, and the vector is something else: {named}"


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    absolute = RELATIVE * float(other.abs().max())
    return one.shape == other.shape and torch.allclose(one, other, rtol=RELATIVE, atol=absolute)
