"""Every command of the README, then of the pages in docs, in their order, in one workspace."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
import pytest
from small_catalogs import PROJECT, make_shop, offline_environment, run_fresh, run_in
from typer.main import get_command

from analyze.reduction import steps
from extract.catalog.demo import KINDS, draw_demo

pytestmark = pytest.mark.slow
README = (PROJECT / "README.md").read_text()
INDEX = (PROJECT / "docs" / "index.md").read_text()
PAGES = [PROJECT / "docs" / name for name in re.findall(r"\]\(([\w-]+\.md)\)", INDEX)]
TEXT = "\n".join([README, *(page.read_text() for page in PAGES)])
CODE_BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
LINES = [line for block in CODE_BLOCKS for line in block.splitlines() if line.strip()]
TYPED = [part.strip() for line in LINES for part in line.split("&&")]
COMMANDS = [*dict.fromkeys(w for w in TYPED if re.match("python -m (extract|analyze)", w))]


Done = dict[str, subprocess.CompletedProcess[str]]
WHAT_WAS_SAID, INSTALLED = "what-was-said.json", "installed"


def follow(wheel: Path, root: Path) -> None:
    """Type every command of the README, in its order, in one workspace; keep what they said.

    The first two are typed where the wheel alone is installed.
    """
    make_shop(root)
    words = ["-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", INSTALLED, wheel]
    subprocess.run([sys.executable, *words], cwd=root, check=True, capture_output=True)
    shipped = partial(run_fresh, PYTHONPATH=str(root / INSTALLED))
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        # all but the first two, which are what newcomers type, need not be good, they must work
        patch.setitem(draw_demo.__kwdefaults__, "per_kind", 2)
        for iterations in ("EXAGGERATED_ITERATIONS", "FEW_ROWS_ITERATIONS"):
            patch.setattr(steps, iterations, 50)
        for i, command in enumerate(COMMANDS):
            words = shlex.split(command, comments=True)
            run = shipped if i < 2 else run_in
            done = run(root, *words[2:])
            said[command] = done.returncode, done.stdout, done.stderr
    (root / WHAT_WAS_SAID).write_text(json.dumps(said))


@pytest.fixture(scope="session")
def followed_shop(once: Callable[[str, Callable[[Path], None]], Path], wheel: Path) -> Path:
    return once("readme", partial(follow, wheel))


@pytest.fixture(scope="session")
def followed(followed_shop: Path) -> Done:
    """What each command of the README said."""
    said = json.loads((followed_shop / WHAT_WAS_SAID).read_text())
    return {words: subprocess.CompletedProcess(words, *each) for words, each in said.items()}


@pytest.fixture
def shop(followed_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a copy of what the commands left, to write in."""
    for part in ("cache", "photos"):
        shutil.copytree(followed_shop / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme_has_the_two_lines_that_newcomers_type() -> None:
    start = "python3 -m venv .venv && . .venv/bin/activate && pip install -e"
    assert f"{start} . && python -m extract && python -m analyze --reduce tsne" in LINES
    assert f'{start} ".[dev]" && python -m pytest' in LINES


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_command_does_what_it_says(command: str, followed: Done) -> None:
    done = followed[command]
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("code", PYTHON_BLOCKS)
def test_python_on_the_pages_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(code, {"__name__": "__main__"})
    assert capsys.readouterr().out


def test_every_page_is_listed_in_the_index() -> None:
    there = set((PROJECT / "docs").glob("*.md")) - {PROJECT / "docs" / "index.md"}
    assert there == set(PAGES)


def test_options_in_the_readmes_table_are_there() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| ")]
    typed = [words for row in rows for words in re.findall(r"`((?:extract|analyze) .*?)`", row)]
    assert len(typed) >= 10
    for words in typed:
        command, *rest = words.split()
        group: Any = get_command(import_module(f"{command}.__main__").build_app())
        default = rest[0].startswith("--")
        chosen = group if default else group.commands[rest[0]]
        known = {name for parameter in chosen.params for name in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, words


def test_first_line_of_the_readme_was_typed_where_the_wheel_alone_is_installed(
    followed_shop: Path, followed: Done
) -> None:
    installed = followed_shop / INSTALLED
    own = "import extract, analyze; print(extract.__file__, analyze.__file__, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", own],
        cwd=followed_shop,
        env={**offline_environment(followed_shop), "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(line.startswith(str(installed)) for line in done.stdout.splitlines())
    first = "python -m extract && python -m analyze --reduce tsne"
    assert first in README
    assert [*followed][:2] == first.split(" && ")


def test_first_line_of_the_readme_ends_in_a_true_result(
    followed_shop: Path, followed: Done
) -> None:
    """The demo's kinds are found, and not as if they were labels: ARI between 0.4 and 0.9."""
    said = followed["python -m analyze --reduce tsne"].stdout
    found = re.search(r"^ari (\S+)", said, re.MULTILINE)
    assert found
    assert 0.4 < float(found[1]) < 0.9
    for kind in KINDS:
        assert kind in said
    results = followed_shop / re.search(r"^results: (.*)", said, re.MULTILINE)[1]  # type: ignore[index]
    assert {p.name for p in results.iterdir()} == {
        "run.json",
        "assignments.csv",
        "confusion.png",
        "map.png",
    }
    assert (followed_shop / "results" / "latest").resolve().parent == results.parent.resolve()


def test_random_weights_are_named_wherever_their_numbers_stand(followed: Done) -> None:
    said = followed["python -m analyze --catalog photos --model efficientnet_b3"].stdout
    assert "random weights" in said
    assert (
        "random weights"
        in followed[
            "python -m extract --images photos --model efficientnet_b3 --weights random --limit 8"
        ].stdout
    )


def test_benchmark_of_seeds_runs(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (shop / "cache/embeddings/photos").glob("efficientnet_lite0-????????.h5")
    words = ["seeds", str(file), *"--seeds 2 --reduce none".split()]
    monkeypatch.setattr(sys, "argv", ["python -m tests.benchmarks", *words])
    with joblib.parallel_config("sequential"):
        runpy.run_module("tests.benchmarks", run_name="__main__")
    assert "ARI" in capsys.readouterr().out
