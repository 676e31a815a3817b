"""Free photographs with classes, laid out from Debian's stamps of Tux Paint."""

from __future__ import annotations

import shutil
from pathlib import Path

STAMPS = Path("/usr/share/tuxpaint/stamps")
DRAWN = frozenset({"cartoon", "toys", "plastic"})
"""Folders of what is drawn, or made to look like another class; SVG files are drawn too."""

CLASSES = (
    "animals/birds",
    "animals/fish",
    "animals/insects",
    "animals/mammals",
    "food/fruit",
    "food/vegetables",
    "hobbies/music",
    "household",
    "plants/flowers",
    "vehicles",
)
"""Every folder of one subject with nine photographs or more, road signs left out."""


def measure(folder: Path, stamps: Path) -> None:
    """Copy the photographs into a new folder, a sub-folder for each class, and count them."""
    for name in CLASSES:
        into = folder / name.rpartition("/")[2]
        into.mkdir(parents=True)
        found = photographs(stamps / name)
        for path in found:
            shutil.copyfile(path, into / path.name)
        print(f"{into.name}: {len(found)}")


def photographs(folder: Path) -> list[Path]:
    """List the pictures of a folder that are not drawn, by path."""
    paths = sorted(folder.rglob("*.png"))
    return [path for path in paths if not DRAWN & set(path.relative_to(folder).parts)]
