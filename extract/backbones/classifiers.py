"""The classifier that a checkpoint brings along: picked out and fitted, never drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from extract.backbones.weights import refuse_misfit, refuse_not_finite, unlike_in_kind
from extract.errors import UsageError

if TYPE_CHECKING:
    import torch


def fit_classifier(
    classifier: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    prefixes: Sequence[str],
    source: str,
) -> None:
    """Load the tensors of a classifier out of those of a whole model.

    Parameters
    ----------
    prefixes : sequence of str
        What their names begin with.
    source : str
        What to call the checkpoint in a message.

    Raises
    ------
    WeightsError
        When it holds no such classifier.
    """
    own = {k.removeprefix(p): v for p in prefixes for k, v in tensors.items() if k.startswith(p)}
    expected, first = classifier.state_dict(), next(iter(prefixes), "")
    refuse_misfit(
        source,
        missing=[f"{first}{k}" for k in expected if k not in own],
        surplus=[],
        unlike=[
            f"{first}{k} {tuple(own[k].shape)} for {tuple(v.shape)}"
            for k, v in expected.items()
            if k in own and own[k].shape != v.shape
        ]
        + unlike_in_kind(expected, own),
    )
    classifier.load_state_dict({k: own[k] for k in expected})
    refuse_not_finite(source, classifier)


def take_classifier_off(model: Any) -> dict[str, torch.nn.Module]:
    """Take a timm model's classifier off; give the modules that were it, by their paths.

    What timm itself puts an identity for, or nothing: a linear layer, a norm before it too, or
    two heads.
    """
    import torch

    before = dict(model.named_modules())
    model.reset_classifier(0)
    after = dict(model.named_modules())
    taken: dict[str, torch.nn.Module] = {}
    for path, module in before.items():
        gone = isinstance(after.get(path, torch.nn.Identity()), torch.nn.Identity)
        within = path.startswith(tuple(f"{above}." for above in taken))
        if gone and not within and module.state_dict():
            taken[path] = module
    return taken


def no_classifier(name: str) -> UsageError:
    """Make the error of a backbone with a classifier that does not read the vectors."""
    return UsageError(
        f"{name} has no classifier of its own that reads these vectors: explain a head, a cluster "
        "or a neighbor, with --target"
    )
