"""What is shipped: two packages and nothing of the workspace."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from small_catalogs import PROJECT


def test_wheel_holds_the_two_packages_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, PROJECT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
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
