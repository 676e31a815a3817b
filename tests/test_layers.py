"""Arrows point one way, and opening the packages is light."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from small_catalogs import PROJECT

HEAVY = (
    "torch timm transformers sklearn scipy umap matplotlib seaborn numpy pandas PIL h5py faiss "
    "joblib"
).split()
MOST_SECONDS_TO_IMPORT = 0.15
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}

EXTRACT_ORDER = (
    "machine files sources catalog storage formats transforms images backbones inference loading "
    "engines pipeline verification sklearn commands"
).split()
ANALYZE_ORDER = (
    "presentation run_history pictures measures reduction neighbors clustering comparison "
    "head auditing robustness explanation stored_files reporting lookup commands"
).split()
ORDERS = [("extract", EXTRACT_ORDER), ("analyze", ANALYZE_ORDER)]

MOST_FOLDERS, MOST_MODULES_AT_THE_TOP, MOST_MODULES = 16, 12, 15
MOST_LINES_OF_A_COMMAND, MOST_LINES_OF_A_BODY, MOST_OPTIONS_OF_A_GROUP = 120, 60, 12


def modules(package: str) -> list[Path]:
    return sorted((PROJECT / package).rglob("*.py"))


@cache
def nodes(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.Import | ast.ImportFrom]:
    """Parse a module once for all tests: what they look at in it."""
    looked_at = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom)
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, looked_at)]


def imported(path: Path) -> set[str]:
    """Name what a module imports, at its top and inside its functions."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_extract_never_imports_analyze_and_neither_imports_tests() -> None:
    for path in modules("extract"):
        assert not {n for n in imported(path) if n.split(".")[0] in ("analyze", "tests")}, path
    for path in modules("analyze"):
        assert not {n for n in imported(path) if n.split(".")[0] == "tests"}, path


def imports_of(package: str) -> dict[str, set[str]]:
    """Name what each module of a package imports of the same package, its `__init__` left out."""
    by_name = {_name(path): path for path in modules(package)}
    del by_name[package]
    return {
        name: {u for u in imported(path) if u in by_name} - {name, _folder(name, by_name)}
        for name, path in by_name.items()
    }


def _name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _folder(name: str, names: Iterable[str]) -> str:
    """Name the folder that a module lies in; a package is its own."""
    return name if any(other.startswith(f"{name}.") for other in names) else name.rpartition(".")[0]


@pytest.mark.parametrize(("package", "order"), ORDERS)
def test_folders_import_only_folders_before_them(package: str, order: list[str]) -> None:
    """What lies at a package's top is below all folders; only ``__main__`` is above them."""
    uses = imports_of(package)

    def floor(name: str) -> int:
        if name == f"{package}.__main__":
            return len(order)
        folder = _folder(name, uses)
        return -1 if folder == package else order.index(folder.split(".")[1])

    for name, used in uses.items():
        above = {u for u in used if floor(u) > floor(name)}
        assert not above, f"{name} imports {above} from a later folder"


@pytest.mark.parametrize("package", ["extract", "analyze"])
def test_neither_modules_nor_folders_of_a_package_form_a_cycle(package: str) -> None:
    uses = imports_of(package)
    _assert_no_cycle(uses)
    between: dict[str, set[str]] = {_folder(name, uses): set() for name in uses}
    for name, used in uses.items():
        folder = _folder(name, uses)
        between[folder] |= {_folder(u, uses) for u in used} - {folder}
    del between[package]  # what all import, and `__main__`
    _assert_no_cycle({folder: used - {package} for folder, used in between.items()})


def _assert_no_cycle(uses: dict[str, set[str]]) -> None:
    left = dict(uses)
    while left:
        free = {name for name, used in left.items() if not used & left.keys()}
        assert free, f"a cycle among {sorted(left)}"
        left = {name: used for name, used in left.items() if name not in free}


@pytest.mark.parametrize(("package", "order"), ORDERS)
def test_a_listing_can_be_taken_in_at_a_glance(package: str, order: list[str]) -> None:
    inside: dict[str, list[str]] = {}
    names = {_name(path) for path in modules(package)}
    for path in modules(package):
        inside.setdefault(_folder(_name(path), names), []).append(path.stem)
    assert {folder.split(".")[1] for folder in inside.keys() - {package}} == set(order)
    assert len(order) <= MOST_FOLDERS
    assert len(inside[package]) <= MOST_MODULES_AT_THE_TOP
    for folder, found in inside.items():
        n = len(set(found) - {"__init__"})
        assert n <= MOST_MODULES, f"{folder} holds {n} modules"


@pytest.mark.parametrize("package", ["extract", "analyze"])
def test_a_command_parses_calls_and_prints_and_its_options_come_in_groups(package: str) -> None:
    app = importlib.import_module(f"{package}.__main__").build_app()
    commands = [each.callback for each in (app.registered_callback, *app.registered_commands)]
    assert len(commands) > 5
    for command in map(inspect.unwrap, commands):
        lines = Path(inspect.getfile(command)).read_text().splitlines()
        assert len(lines) < MOST_LINES_OF_A_COMMAND, command
        for taken in inspect.signature(command, eval_str=True).parameters.values():
            if is_dataclass(taken.annotation):
                assert len(fields(taken.annotation)) <= MOST_OPTIONS_OF_A_GROUP, taken


@pytest.mark.parametrize("package", ["extract", "analyze"])
def test_a_function_can_be_taken_in_at_a_glance(package: str) -> None:
    for path in modules(package):
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[
                    0 if ast.get_docstring(node) is None else min(1, len(node.body) - 1)
                ]
                n_lines = (node.end_lineno or 0) - first.lineno + 1
                assert n_lines <= MOST_LINES_OF_A_BODY, f"{path}: {node.name} has {n_lines} lines"


def test_the_architecture_page_lists_the_folders_in_their_order() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text()
    for package, order in ORDERS:
        section = page.partition(f"## `{package}`")[2].partition("\n## ")[0]
        assert re.findall(r"^\| `(\w+)/` \|", section, re.MULTILINE) == order


@pytest.mark.parametrize("package", ["extract", "analyze"])
def test_no_public_name_is_that_of_a_folder_or_a_module(package: str) -> None:
    """Importing such a module would put it in the place of the function or the class."""
    face = importlib.import_module(package)
    for path in [*modules("extract"), *modules("analyze")]:
        if path.stem != "__main__":
            importlib.import_module(_name(path))
    for name in face.__all__:
        assert not isinstance(getattr(face, name), ModuleType), name
        assert name == "__version__" or name not in _top_names(package), name


def _top_names(package: str) -> set[str]:
    return {_name(path).split(".")[1] for path in modules(package) if _name(path) != package}


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "import extract, analyze"],
        ["-m", "extract", "--help"],
        ["-m", "analyze", "--help"],
        ["-m", "extract", "show", "--help"],
        ["-m", "extract", "verify", "--help"],
    ],
)
def test_opening_loads_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & set(HEAVY)


def test_importing_the_packages_is_quick() -> None:
    """The best of three: other processes may hold one up."""
    clock = "time.perf_counter()"
    timed = f"import time; began = {clock}; import extract, analyze; print({clock} - began)"
    runs = [subprocess.run([sys.executable, "-c", timed], capture_output=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < MOST_SECONDS_TO_IMPORT


def test_every_public_part_can_be_had() -> None:
    import analyze
    import extract

    for package in (extract, analyze):
        assert set(package.__all__) <= set(dir(package))
        assert _typed(package) == package._PARTS
        for name in package.__all__:
            assert getattr(package, name) is not None
        with pytest.raises(AttributeError, match="no attribute"):
            _ = package.nothing_of_the_kind


def _typed(package: ModuleType) -> dict[str, str]:
    """Say where a type checker is told that each public part is."""
    return {
        alias.asname or "": node.module or ""
        for block in ast.parse(Path(str(package.__file__)).read_text()).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("package", ["extract", "analyze"])
def test_what_is_imported_from_a_package_is_there(package: str) -> None:
    """Names inside functions too: the packages fetch theirs late, so no type checker asks."""
    public = set(importlib.import_module(package).__all__) | {"__version__"}
    names = [_name(path) for path in modules(package)]
    for path in [*modules("extract"), *modules("analyze")]:
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module == package:
                for alias in node.names:
                    known = alias.name in public or any(
                        name.startswith(f"{package}.{alias.name}") for name in names
                    )
                    assert known, f"{path} imports {alias.name} from {package}"


def test_folders_and_modules_are_named_after_the_field() -> None:
    paths = [*modules("extract"), *modules("analyze")]
    assert not {part for path in paths for part in _name(path).split(".")} & BANNED_NAMES
