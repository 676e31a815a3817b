"""Pages of the site that lie elsewhere or are made of the code, and its navigation."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from command_reference import command_page
from python_reference import python_page

PROJECT = Path(__file__).parents[2]
GENERATED = "generated"
ELSEWHERE = {
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "findings/README.md": "findings",
    "tests/benchmarks/README.md": "benchmarks",
    "tests/faults/README.md": "faults",
}
"""Pages outside docs/, by their path in the repository, and what they are called on the site."""

NAVIGATION = {
    "Start": ["tutorial"],
    "How to": [
        "your-pictures",
        "clustering",
        "which-backbone",
        "similar-products",
        "heads",
        "audit",
        "robustness",
        "explain",
        "report",
        "lookup",
        "speed",
        "files",
        "vectors-elsewhere",
        "python",
        "platforms",
    ],
    "Reference": [
        f"{GENERATED}/extract-commands",
        f"{GENERATED}/analyze-commands",
        f"{GENERATED}/python-reference",
        "backbones",
        "pictures",
        "embeddings-file",
        "upgrading",
        f"{GENERATED}/changelog",
    ],
    "Background": [
        f"{GENERATED}/benchmarks",
        f"{GENERATED}/faults",
        f"{GENERATED}/findings",
        "architecture",
        f"{GENERATED}/contributing",
    ],
}
LINK = re.compile(r"\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def setup(app: Any) -> dict[str, bool]:
    """Make pages before Sphinx looks for them, and fit links while it reads them."""
    app.connect("config-inited", lambda app, _: write_pages(Path(app.srcdir) / GENERATED))
    app.connect("source-read", fit_page)
    return {"parallel_read_safe": True}


def write_pages(folder: Path) -> None:
    """Write the references, and the pages that lie outside docs/."""
    folder.mkdir(exist_ok=True)
    pages = {name: (PROJECT / path).read_text() for path, name in ELSEWHERE.items()}
    for package in ("extract", "analyze"):
        pages[f"{package}-commands"] = command_page(package)
    pages["python-reference"] = python_page()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def fit_page(_app: Any, name: str, source: list[str]) -> None:
    """Lead links of a page to the site's pages; what is only in the repository is no link."""
    places = {f"{GENERATED}/{to}": path for path, to in ELSEWHERE.items()}
    here = places.get(name, f"docs/{name}.md")
    text = LINK.sub(lambda link: f"]({fitted(link, here, name)})", source[0])
    source[0] = re.sub(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\(\)", r"\1", text)
    if name == "index":
        source[0] += navigation()


def fitted(link: re.Match[str], here: str, name: str) -> str:
    """Spell where a link of a page leads on the site; empty where that is nowhere."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[1]))
    anchor = link[2] or ""
    if target == "README.md":
        page = "index.md"
    elif target in ELSEWHERE:
        page = f"{GENERATED}/{ELSEWHERE[target]}.md"
    elif target.startswith("docs/"):
        page = target.removeprefix("docs/")
    else:
        return ""
    return posixpath.relpath(page, posixpath.dirname(name) or ".") + anchor


def navigation() -> str:
    """Return the tables of contents of the sidebar, which are hidden on the page."""
    blocks = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"])
        for caption, pages in NAVIGATION.items()
    ]
    return "\n\n" + "\n\n".join(blocks) + "\n"
