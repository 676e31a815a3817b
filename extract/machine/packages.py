"""Which versions of packages are installed, known without loading them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Name the installed versions of packages, for a record."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
