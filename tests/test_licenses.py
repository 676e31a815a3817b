"""Every distribution that an installation brings along has a license of tests/licenses.toml."""

from __future__ import annotations

import re
import tomllib
from email.message import Message
from fnmatch import fnmatchcase
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from small_catalogs import PROJECT

LISTED = tomllib.loads((PROJECT / "tests" / "licenses.toml").read_text())
ALLOWED = {*LISTED["allowed"], *(word for words in LISTED["allowed"].values() for word in words)}


def declared_requirements() -> list[Requirement]:
    """Read what pyproject.toml asks for, extras included: installed metadata may be older."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(text) for texts in lists for text in texts]
    return [each for each in found if each.name != project["name"]]


def brought_along(requirements: list[Requirement]) -> dict[str, Distribution]:
    """Find what requirements install here, and what that requires; left out: what is not here."""
    found: dict[str, Distribution] = {}
    seen, left = set(), requirements
    while left:
        requirement = left.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        name = canonicalize_name(requirement.name)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        for each in map(Requirement, found[name].requires or ()):
            extras = requirement.extras or {""}
            if not each.marker or any(each.marker.evaluate({"extra": e}) for e in extras):
                left.append(each)
    return found


def declared_licenses(metadata: Message) -> list[str]:
    """Read licenses: of the SPDX expression, else the classifiers, else the first line of text."""
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier", [])
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    text = metadata["License-Expression"]
    if not text and classifiers:
        return classifiers
    first = (text or metadata["License"] or "").strip().partition("\n")[0]
    return [part for part in re.split(r"\s+(?:AND|OR)\s+|[()]", first) if part] or ["nothing"]


def objection(name: str, metadata: Message) -> str | None:
    """Name the license that is not allowed, in one line; None where all are."""
    declared = declared_licenses(metadata)
    for pattern, exception in LISTED["exceptions"].items():
        if fnmatchcase(name, pattern) and set(declared) <= set(exception["declared"]):
            return None
    if set(declared) <= ALLOWED:
        return None
    return (
        f"{name} declares as its license: {', '.join(declared)}. tests/licenses.toml does not "
        "allow that: leave the distribution out, or list it there with a reason"
    )


def test_licenses_of_all_that_is_installed_are_listed() -> None:
    found = brought_along(declared_requirements())
    assert {"torch", "sympy", "mpmath", "pytest", "iniconfig"} <= found.keys()
    wrong = [line for name, each in found.items() if (line := objection(name, each.metadata))]
    if wrong:
        pytest.fail("\n".join(sorted(wrong)), pytrace=False)


@pytest.mark.parametrize(
    ("name", "fields", "named"),
    [
        ("new", {"License-Expression": "MIT AND (Apache-2.0 OR BSD-3-Clause)"}, None),
        ("new", {"License-Expression": "MIT OR GPL-3.0-only"}, "MIT, GPL-3.0-only"),
        ("new", {"License-Expression": "AGPL-3.0-or-later", "License": "MIT"}, "AGPL"),
        ("new", {"License": "BSD", "Classifier": "License :: OSI Approved :: GPLv3"}, "GPLv3"),
        ("new", {"License": "MIT", "Classifier": "License :: OSI Approved"}, None),
        ("new", {"License": "Do no harm\nMIT"}, "Do no harm"),
        ("new", {}, "nothing"),
        ("tqdm", {"License": "MPL-2.0 AND MIT"}, None),
        ("tqdm", {"License": "GPL-3.0-only"}, "tqdm declares as its license: GPL-3.0-only"),
        ("new", {"License-Expression": "MPL-2.0"}, "MPL-2.0"),
    ],
)
def test_a_license_that_is_not_listed_is_one_line(
    name: str, fields: dict[str, str], named: str | None
) -> None:
    metadata = Message()
    for key, value in fields.items():
        metadata[key] = value
    line = objection(name, metadata)
    assert (line is None) == (named is None)
    assert named is None or (named in str(line) and "\n" not in str(line))


def test_every_exception_has_a_reason() -> None:
    for name, exception in LISTED["exceptions"].items():
        assert exception.keys() == {"declared", "reason"}, name
        assert len(exception["reason"].split()) > 3, name
