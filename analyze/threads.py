"""One thread for what must repeat: the same seed, the same numbers, on any number of cores."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

THREADED = ("scipy.linalg", "sklearn.cluster", "sklearn.decomposition", "sklearn.neighbors")


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep numerical libraries on one thread.

    The limit reaches only libraries that are loaded, so those used inside are loaded first.
    """
    for library in THREADED:
        import_module(library)
    with _libraries(len(sys.modules)).limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _libraries(_n_modules: int) -> ThreadpoolController:
    """Find the numerical libraries that are loaded, which takes longer than some clusterings.

    They come with modules: as long as there are no more of those, it is those found before.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread_of_torch() -> Iterator[None]:
    """Keep torch on one thread too: sums over several are added in another order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_thread():
            yield
    finally:
        torch.set_num_threads(before)
