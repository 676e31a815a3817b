"""Why there is no picture where a catalogue names one: what the cell holds, or lies near by."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from functools import lru_cache
from pathlib import Path

from extract.catalog.catalog import IMAGE_EXTENSIONS
from extract.ids import bytes_of, shown, text_of
from extract.refusals import Reason, Refused

ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//|data:[^,]*,|www\.", re.IGNORECASE)
SEPARATORS = ("|", ";", ",", "\n", "\t", " ")
MOST_SHOWN = 200


def why_missing(images_root: Path, path: str, message: str) -> Refused:
    """Explain why a path leads to no picture: the reason, the place looked at, and what to do.

    Parameters
    ----------
    images_root : Path
    path : str
        As the catalogue has it; nothing is there.
    message : str
        The system's error.
    """
    number = _number_listed(images_root, path)
    if number == 0:
        return Refused(
            Reason.NOT_NAMED, "no picture is named: the cell is empty; write its path there"
        )
    if number is not None:
        what = f"a list of {number} pictures" if number > 1 else "a picture's name inside brackets"
        return Refused(
            Reason.SEVERAL,
            f"{what}, and a row is of one: {_cut(path)}; write one path, or a row for each picture",
        )
    if ADDRESS.match(path.strip()):
        return Refused(
            Reason.MISSING,
            f"an address, not a file: {_cut(path)}; download it by --allow-download, or write a "
            "file's path",
        )
    missing = f"{message}: {_cut(os.path.join(text_of(os.fsencode(images_root)), path))}"
    near = _near(images_root, path)
    return Refused(Reason.MISSING, f"{missing}; {near}" if near else missing)


def _cut(text: str) -> str:
    text = shown(text)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _number_listed(images_root: Path, cell: str) -> int | None:
    """Count the pictures that a cell lists, none in an empty one; None for a plain path."""
    bare = cell.strip()
    if not bare:
        return 0
    if bare.startswith("[") and bare.endswith("]"):
        try:
            return len([each for each in json.loads(bare) if each])
        except (ValueError, RecursionError, TypeError):
            return len([part for part in bare[1:-1].split(",") if part.strip()])
    for separator in SEPARATORS:
        parts = [part.strip().strip("\"'") for part in bare.split(separator) if part.strip()]
        if len(parts) > 1 and all(_names_a_picture(images_root, part) for part in parts):
            return len(parts)
    return None


def _names_a_picture(images_root: Path, name: str) -> bool:
    ending = os.path.splitext(name.partition("?")[0])[1].lower()
    looks = ending in IMAGE_EXTENSIONS or bool(ADDRESS.match(name))
    return looks or _alike(images_root, name) is not None


def _near(images_root: Path, path: str) -> str | None:
    """Name what is there that may have been meant."""
    for meant, why in (
        (path.strip(), "without the blanks around it"),
        (path.replace("\\", "/"), "with / for \\"),
    ):
        if meant != path and (found := _alike(images_root, meant)):
            return f"{why} there is {_cut(found)}: write that"
    found = _alike(images_root, path)
    if found:
        return f"there is {_cut(found)}: write that"
    parts = path.replace("\\", "/").strip().split("/")
    for first in range(1, len(parts)):  # a folder given twice, or a path of another machine
        found = _alike(images_root, "/".join(parts[first:]))
        if found:
            return f"there is {_cut(found)}: paths are relative to {_cut(str(images_root))}"
    return None


def _alike(images_root: Path, path: str) -> str | None:
    """Find a file with the same path but for case, unicode form or a missing ending."""
    folder, found = os.fsencode(images_root), []
    *above, last = [part for part in path.split("/") if part not in ("", ".")] or [""]
    if ".." in above or not last:
        return None
    for part in above:
        name = _entries(folder).get(_plain(part))
        if name is None:
            return None
        found.append(name)
        folder = os.path.join(folder, bytes_of(name))
    names = _entries(folder)
    endings = ["", *sorted(IMAGE_EXTENSIONS)]
    stem = os.path.splitext(last)[0]
    wanted = [last + ending for ending in endings]
    wanted += [stem + ending for ending in endings[1:]]
    name = next((names[w] for w in map(_plain, wanted) if w in names), None)
    if name is None or not os.path.isfile(os.path.join(folder, bytes_of(name))):  # noqa: PTH113
        return None
    return "/".join([*found, name])


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _entries(folder: bytes) -> dict[str, str]:
    """List a folder by names without case; nothing where it cannot be listed."""
    try:
        return _listing(folder, os.stat(folder).st_mtime_ns)  # noqa: PTH116 - bytes
    except OSError:
        return {}


@lru_cache(maxsize=8)
def _listing(folder: bytes, _mtime_ns: int) -> dict[str, str]:
    names = sorted(map(text_of, os.listdir(folder)))
    return {_plain(name): name for name in reversed(names)}
