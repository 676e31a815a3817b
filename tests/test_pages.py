"""What pages for people point to is there: links, headings, files, their names, make's targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from small_catalogs import PROJECT

PAGES = sorted(
    path.relative_to(PROJECT).as_posix()
    for pattern in ("*.md", "docs/*.md", "tests/*/README.md", "findings/README.md")
    for path in PROJECT.glob(pattern)
)
PATHS_HELD = ["CONTRIBUTING.md", "docs/architecture.md"]  # others name files of a user


def text_of(page: str) -> str:
    """Read a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", (PROJECT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Spell the headings of a page as links do."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/lookup.md", "tests/faults/README.md"} <= {*PAGES}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_are_there(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", text_of(page))
    links += re.findall(r'<img src="([^"]+)"', text_of(page))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (PROJECT / page).parent / file if file else PROJECT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(target), f"{page}: {link}"


@pytest.mark.parametrize("page", PATHS_HELD)
def test_files_and_what_stands_in_them_are_there(page: str) -> None:
    text = text_of(page)
    paths = re.findall(r"`((?:extract|analyze|tests|docs)/[\w./]*)`", text)
    assert len(paths) > 10
    for path in paths:
        assert (PROJECT / path).exists(), f"{page}: {path}"
    for name, path in re.findall(r"`(\w+)` of\s+`(\w+/[\w./]+)`", text):
        assert re.search(rf"\b{name}\b", (PROJECT / path).read_text()), f"{page}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_that_pages_name_are_in_the_makefile(page: str) -> None:
    targets = re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:`|&& )make ([\w-]+)", (PROJECT / page).read_text())
    assert not {*named} - {*targets}
