"""One thread for what must repeat: the same seed, the same numbers, on any number of cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

THREADED = ("scipy.linalg", "sklearn.cluster", "sklearn.decomposition", "sklearn.neighbors")


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep numerical libraries on one thread.

    The limit reaches only libraries that are loaded, so those used inside are loaded first.
    """
    from threadpoolctl import threadpool_limits

    for library in THREADED:
        import_module(library)
    with threadpool_limits(1):
        yield


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
