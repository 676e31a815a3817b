"""Fixtures that tests of both packages share."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

# Before numpy and torch are loaded: the workers share the cores, and threads that wait spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may find what the user's own caches hold.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": "/no-hub", "TORCH_HOME": "/no-torch"}
# What is compiled runs on a few rows: to optimize it takes longer than it saves. It is kept for the
# next worker, and apart from what the user's own programs keep.
os.environ["NUMBA_OPT"] = "0"
os.environ["NUMBA_CACHE_DIR"] = str(Path(__file__).parent.parent / ".pytest_cache" / "numba")

import pytest
from small_catalogs import (
    Run,
    build_wheel,
    draw_noise,
    embed_shop,
    made_once,
    run_in,
    tiny_backbone,
)
from typed_commands import Typist

from analyze.presentation import figure_style
from extract.backbones.registry import Backbone
from extract.inference.fidelity import MOST_RECOMPUTED
from extract.machine.allocation import keep_freed_memory
from extract.pipeline import loop
from tests.faults.warm_server import WarmServer

# Even where Python is told to keep nothing: each worker and each command would compile all anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
keep_freed_memory()
# What is started in the background by a script ignores Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for garbage among what tests make, not among a million objects of libraries."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to ``make test-all`` what types commands, drives a browser or asks a service."""
    for item in items:
        whole = any(item.get_closest_marker(name) for name in ("browser", "service"))
        if whole or item.path.parent.name == "commands":
            item.add_marker("slow")


PNG_DOTS_PER_INCH = figure_style.PNG_DOTS_PER_INCH


@pytest.fixture(scope="session", autouse=True)
def coarse_figures() -> Iterator[None]:
    """Save figures at 40 dots an inch: to draw and compress all of their dots takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure_style, "PNG_DOTS_PER_INCH", 40)
        yield


@pytest.fixture(scope="session", autouse=True)
def few_recomputed() -> Iterator[None]:
    """Compute four rows of a run again, not 16: more than tests embed, each would be done twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "MOST_RECOMPUTED", 4)
        yield


@pytest.fixture
def all_recomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute as many rows again as after a user's run."""
    monkeypatch.setattr(loop, "MOST_RECOMPUTED", MOST_RECOMPUTED)


@pytest.fixture
def fine_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save figures as fine as a user gets them."""
    monkeypatch.setattr(figure_style, "PNG_DOTS_PER_INCH", PNG_DOTS_PER_INCH)


@pytest.fixture(scope="session", autouse=True)
def own_files() -> Iterator[None]:
    """Read files without a copy of this process first: it costs, and tests wrote them here.

    For the session, so that what is made for a module or for all reads so too.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in ("embeddings_file", "labels_file"):
            patch.setattr(f"extract.storage.{module}.crash_on_open", lambda *_: None)
        yield


@pytest.fixture(autouse=True)
def own_log_levels() -> Iterator[None]:
    """Leave no test as quiet as the command that another one ran in this process."""
    loggers = [logging.getLogger(), logging.getLogger("sosie")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder, by its name and what fills it, once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    return partial(made_once, shared)


@pytest.fixture(scope="session")
def embedded_shop(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The workspace of ``embed_shop``, to be read alone: commands that write take ``own_shop``."""
    return once("embedded-shop", embed_shop)


@pytest.fixture(scope="session")
def wheel(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """What is shipped to users."""
    (built,) = once("wheel", build_wheel).glob("*.whl")
    return built


@pytest.fixture
def own_shop(embedded_shop: Path, tmp_path: Path) -> Path:
    """A copy of the embedded shop, the dates of its files included."""
    return Path(shutil.copytree(embedded_shop, tmp_path / "own-shop"))


@pytest.fixture(scope="session")
def warm_server() -> Iterator[WarmServer]:
    """Starts commands in processes of their own, to be signalled and killed."""
    with WarmServer() as server:
        yield server


@pytest.fixture(scope="session")
def neighbors_uncompiled() -> None:
    """Leave pynndescent Python: umap-learn calls it for more than 4,096 rows, which no test has.

    It compiles as it is imported, for nine seconds.
    """
    from numba import config

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "DISABLE_JIT", 1)
        import pynndescent  # noqa: F401


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of seven pictures each."""
    folder = tmp_path / "shop"
    for k, kind in enumerate(("cups", "hats", "rugs")):
        for i in range(7):
            draw_noise(folder / kind / f"{i}.png", 100 * k + i)
    return folder


@pytest.fixture
def backbone() -> Backbone:
    return tiny_backbone()


@pytest.fixture
def run(workspace: Path) -> Run:
    """Run a command of the product as a user does, in a workspace."""

    return partial(run_in, workspace)


@pytest.fixture
def typist(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Typist:
    """Types commands in this process, in the folder that a module calls its root."""
    return Typist(root, monkeypatch, capsys, caplog)
