"""Backbones whose weights a package brings, loaded once a process: each command has a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from extract.backbones import registry
from extract.backbones.registry import Backbone, find_model

_load = registry.load_backbone


@contextmanager
def loaded_once() -> Iterator[None]:
    """Let what is loaded in here be a copy where it was loaded before; tests' own loading stays."""
    if registry.load_backbone is not _load:  # another stands there, or another command
        yield
        return
    registry.load_backbone = _copied
    try:
        yield
    finally:
        registry.load_backbone = _load


def _copied(
    name: str, *, weights: registry.AnyPath = "pretrained", device: str = "cpu", **how: object
) -> Backbone:
    packaged = find_model(name)[1] if weights == "pretrained" and device == "cpu" else None
    if packaged is None:
        return _load(name, weights=weights, device=device, **how)
    packaged.path()  # refuses a package that is gone or damaged, as each command does
    return copy.deepcopy(_loaded(name, tuple(sorted(how.items()))))


@cache
def _loaded(name: str, how: tuple[tuple[str, object], ...]) -> Backbone:
    return _load(name, **dict(how))
