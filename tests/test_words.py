"""Names, docstrings, messages and pages use the field's terms and plain English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_catalogs import PROJECT

BANNED = {
    "parted": "split",
    "parting": "split",
    "taught": "trained on, training set",
    "teach": "train on",
    "teaches": "trains on",
    "untaught": "held out",
    "told": "given, reported, distinguished",
    "beside": "next to, with",
    "asked": "requested, queried",
    "asks": "requests, queries",
    "said": "reported, predicted, noted",
    "anew": "again",
    "whose": "with, of which",
    "shelf": "served catalog",
    "rung": "step",
    "ladder": "index types",
    "door": "entry point",
    "realisation": "execution config",
    "realisations": "execution configs",
    "rehearsal": "sandboxed open",
    "doubt": "uncertainty",
    "doubts": "uncertainty",
    "likeness": "similarity, CKA",
    "wish": "option",
}
"""Words of no field, and what the field says."""

PHRASES = {"so many": "this many", "numbers a picture": "dimensions", "chance plays": "random seed"}

KEPT = {"realisation", "realisations"}
"""Names of datasets and of keys in files, where they are spelled as such: a promise."""

PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/*.md")])
TEMPLATES = sorted(
    path
    for folder in ("analyze/lookup/web", "analyze/reporting/page")
    for pattern in ("*.html", "*.js")
    for path in (PROJECT / folder).rglob(pattern)
)
MODULES = sorted(
    path for package in ("extract", "analyze") for path in PROJECT.glob(f"{package}/**/*.py")
)


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def found_in(text: str) -> set[str]:
    """Banned words and phrases of a text for people, code spelled in it left out."""
    plain = re.sub(r"(?m)`[^`]*`|--[\w-]+|^ *[\w, ]+ : ", " ", text)
    flat = " ".join(plain.lower().split())
    return (words_of(plain) & BANNED.keys()) | {p for p in PHRASES if p in flat}


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def words_in_name(name: str) -> set[str]:
    return words_of(re.sub(r"([a-z])([A-Z])", r"\1_\2", name).replace("_", " "))


def texts_in(tree: ast.AST) -> Iterator[str]:
    """Docstrings and messages: strings of more than one word; what one word is may be a key."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_names_and_texts_of_a_module_are_in_plain_terms(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for name in names_in(tree):
        found = words_in_name(name) & (BANNED.keys() - (KEPT if name in KEPT else set()))
        assert not found, f"{name}: say {[BANNED[word] for word in found]}"
    for text in texts_in(tree):
        found = found_in(text)
        assert not found, f"{text!r}: say {[(BANNED | PHRASES)[word] for word in found]}"


@pytest.mark.parametrize("path", [*PAGES, *TEMPLATES], ids=lambda path: path.name)
def test_pages_are_in_plain_terms(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for line in text.splitlines():
        found = found_in(line)
        assert not found, f"{line!r}: say {[(BANNED | PHRASES)[word] for word in found]}"


def test_the_check_finds_what_it_is_for() -> None:
    tree = ast.parse(
        "def told_apart(asked): 'What was said so\\n    many times.'\nx = 'a door `said`'"
    )
    assert {w for n in names_in(tree) for w in words_in_name(n) & BANNED.keys()} == {
        "told",
        "asked",
    }
    assert [found_in(text) for text in texts_in(tree)] in (
        [{"said", "so many"}, {"door"}],
        [{"door"}, {"said", "so many"}],
    )
