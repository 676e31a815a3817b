"""Whether models of timm take their own full checkpoints, and what of them the vector is.

No weights are fetched: a model's are drawn, those of the part that holds its classifier once more,
so that a norm in it is none that changes nothing, and all of it is written as safetensors.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file

from extract.backbones import load_backbone
from extract.errors import SosieError

RELATIVE, ABSOLUTE = 1e-4, 1e-5


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
    backbone = load_backbone(f"timm:{name}", weights=str(path))
    side = backbone.preprocessing.size
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    vectors = torch.from_numpy(backbone.embed(pixels))
    return _kind_of(vectors, _read_by(heads, whole, pixels))


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
    """Find what timm calls the classifier: one module, or several."""
    classifier = whole.get_classifier()
    heads = tuple(classifier) if isinstance(classifier, tuple | torch.nn.ModuleList) else None
    paths = {module: path for path, module in whole.named_modules()}
    for head in heads or (classifier,):
        yield paths[head], head


def _read_by(
    heads: dict[str, torch.nn.Module], whole: Any, pixels: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Say what reaches each head, and each module around it, when the whole model runs."""
    modules = dict(whole.named_modules())
    read: dict[str, torch.Tensor] = {}
    for path in heads:
        parts = path.split(".")
        for length in range(len(parts), 0, -1):
            around = ".".join(parts[:length])

            def keep(_module: Any, inputs: tuple[Any, ...], around: str = around) -> None:
                read[around] = inputs[0]

            modules[around].register_forward_pre_hook(keep)
    with torch.inference_mode():
        whole(pixels)
    return read


def _kind_of(vectors: torch.Tensor, read: dict[str, torch.Tensor]) -> str:
    # of tokens that are all turned into logits the first is taken
    flat = {k: t[:, 0] if t.ndim == 3 else t.flatten(1) for k, t in read.items()}
    same = [path for path, tensor in flat.items() if _equal(vectors, tensor)]
    leaves = [path for path in flat if not any(p.startswith(f"{path}.") for p in flat)]
    if same and all(any(f"{path}.".startswith(f"{s}.") for s in same) for path in leaves):
        norm = not set(leaves) <= set(same)
        return f"{PLAIN}, from a norm on: {', '.join(same)}" if norm else PLAIN
    inputs = [flat[path] for path in leaves]
    if len({tensor.shape for tensor in inputs}) == 1 and _equal(
        vectors, torch.stack(inputs).mean(dim=0)
    ):
        return f"taken, the vector is the mean of what several heads read: {', '.join(leaves)}"
    if _equal(vectors, torch.cat(inputs, dim=1)):
        return f"taken, the vector is what several heads read, joined: {', '.join(leaves)}"
    return f"taken, and the vector is something else: {', '.join(flat)}"


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=RELATIVE, atol=ABSOLUTE)
