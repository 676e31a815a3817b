"""One picture of the catalogue under every corruption, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from analyze.presentation.contact_sheet import Tile, draw_sheet
from extract.ids import shown as spelled_id
from extract.images.corruptions import FAMILIES, N_SEVERITIES, Corruption


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture as it is and under corruptions.

    Parameters
    ----------
    row_id : str
    plain : Image
    corrupted : dict of Corruption to Image or None
        None where it does not apply.
    """

    row_id: str
    plain: Image.Image
    corrupted: dict[Corruption, Image.Image | None]


def draw_corruptions(shown: Shown) -> Any:
    """Draw a row for each family: the picture itself, then its five severities."""
    tiles = []
    for family in dict.fromkeys(each.family for each in shown.corrupted):
        tiles.append(Tile(shown.plain, family, ["unaltered"], is_query=True))
        for severity in range(1, N_SEVERITIES + 1):
            picture = shown.corrupted[Corruption(family, severity)]
            lines = [FAMILIES[family].amount(severity)]
            tiles.append(Tile(picture, str(severity), lines if picture else ["does not apply"]))
    return draw_sheet(
        tiles,
        title="What is done to every picture",
        subtitle=f"{spelled_id(shown.row_id)}, as the model sees it",
        columns=N_SEVERITIES + 1,
    )
