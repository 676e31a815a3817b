"""The pages of docs/ as a site: links fit, references hold every command, it builds strictly."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from small_catalogs import PROJECT
from typer.main import get_command


@pytest.fixture
def site_pages(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PROJECT / "docs/_ext"))
    return import_module("site_pages")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("heads", "[a](files.md#show)", "[a](files.md#show)"),
        ("index", "[all](../tests/benchmarks/README.md#x)", "[all](generated/benchmarks.md#x)"),
        ("generated/benchmarks", "[a](../../docs/speed.md)", "[a](../speed.md)"),
        ("generated/contributing", "[a](docs/index.md)", "[a](../index.md)"),
        ("generated/faults", "![x](../../docs/images/map.png)", "![x](../images/map.png)"),
        ("generated/findings", "see [the script](cvt.sh), [a](https://b.c)", None),
        ("index", "[home](../README.md)", "[home](index.md)"),
    ],
)
def test_links_lead_to_pages_of_the_site(
    site_pages: Any, name: str, before: str, after: str | None
) -> None:
    source = [before]
    site_pages.fit_page(None, name, source)
    assert source[0].partition("\n\n```{toctree}")[0] == (
        after or "see the script, [a](https://b.c)"
    )


def test_every_page_is_in_the_navigation_once(site_pages: Any) -> None:
    listed = [page for pages in site_pages.NAVIGATION.values() for page in pages]
    pages = {path.stem for path in (PROJECT / "docs").glob("*.md")} - {"index"}
    assert pages == {page for page in listed if not page.startswith("generated/")}
    assert len(listed) == len({*listed})


@pytest.mark.parametrize("package", ["extract", "analyze"])
def test_the_reference_holds_every_command_and_option(site_pages: Any, package: str) -> None:
    page = site_pages.command_page(package)
    group: Any = get_command(import_module(f"{package}.__main__").build_app())
    assert re.findall(r"^## `(\w+)`", page, re.MULTILINE) == [*group.commands]
    for name, command in group.commands.items():
        section = page.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        options = {option for each in command.params for option in each.opts if option[0] == "-"}
        assert all(re.search(rf"`[^`]*{option}\b", section) for option in options), name


def test_the_python_reference_holds_every_public_name(site_pages: Any) -> None:
    page = site_pages.python_page()
    for package in ("extract", "analyze"):
        names = {name for name in import_module(package).__all__ if not name.startswith("_")}
        documented = {*re.findall(rf":: {package}\.(\w+)", page)}
        assert documented == names


class _Links(HTMLParser):
    """Collects where a page leads and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.found.append(given["href"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.loaded.append(given["href"])
        if tag in ("img", "script") and "src" in given:
            self.loaded.append(given["src"])


def links_of(site: Path) -> Iterator[tuple[Path, _Links]]:
    for path in site.rglob("*.html"):
        parser = _Links()
        parser.feed(path.read_text())
        yield path, parser


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_opens_from_a_disk(tmp_path: Path) -> None:
    pytest.importorskip("furo", reason="needs sosie[docs]")
    words = ["-b", "html", "-W", "--keep-going", "-q", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, str(PROJECT / "docs"), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    n_pages = 0
    for path, links in links_of(tmp_path / "site"):
        n_pages += 1
        assert not [each for each in links.loaded if "//" in each], path
        here = [each for each in (*links.found, *links.loaded) if not re.match(r"\w+:", each)]
        for each in here:
            target = each.partition("#")[0].partition("?")[0]
            assert not target or (path.parent / target).exists(), f"{path}: {each}"
    assert n_pages > 20
