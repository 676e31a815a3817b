"""What is shipped: two packages and nothing of the workspace."""

from __future__ import annotations

import tomllib
import warnings
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
import yaml
from small_catalogs import PROJECT

import extract


def test_wheel_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"extract", "analyze"}
    shipped = {name for name in names if name.endswith(".py")}
    written = {
        path.relative_to(PROJECT).as_posix()
        for package in ("extract", "analyze")
        for path in (PROJECT / package).rglob("*.py")
    }
    assert shipped == written
    golden = {
        f"extract/verification/golden/{path.name}"
        for path in (PROJECT / "extract/verification/golden").iterdir()
    }
    assert len(golden) == 5
    assert {name for name in names if name.startswith("extract/verification/golden/")} == golden
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_only_lower_bounds_and_both_scripts_are_declared() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        assert ">=" in requirement
        assert "<" not in requirement
        assert "==" not in requirement
    assert project["scripts"] == {
        "sosie-extract": "extract.__main__:main",
        "sosie-analyze": "analyze.__main__:main",
    }


def test_the_wheel_says_what_an_index_shows(wheel: Path) -> None:
    shipped = zipfile.ZipFile(wheel)
    (name,) = (each for each in shipped.namelist() if each.endswith("/METADATA"))
    metadata = HeaderParser().parsestr(shipped.read(name).decode())
    assert metadata["Version"] == extract.__version__
    for field in ("Summary", "Author", "License-Expression", "Keywords", "Requires-Python"):
        assert metadata[field]
    assert {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= {
        *metadata.get_all("Classifier", [])
    }
    assert metadata.get_payload().startswith("# Sosie")  # type: ignore[union-attr]
    assert {"extract/py.typed", "analyze/py.typed"} <= {*shipped.namelist()}


def test_the_version_to_cite_is_that_of_the_package_and_of_the_changelog() -> None:
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()  # the format's own musts
    assert cited["version"] == extract.__version__
    changelog = (PROJECT / "CHANGELOG.md").read_text()
    assert f"\n## {extract.__version__} ({cited['date-released']})\n" in changelog


def test_deprecations_of_this_project_are_errors_in_its_tests() -> None:
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("to go", DeprecationWarning, "x.py", 1, "analyze.inputs")
    with pytest.warns(DeprecationWarning, match="to go"):
        warnings.warn_explicit("to go", DeprecationWarning, "x.py", 1, "another.inputs")
