"""A sheet of pictures next to their views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.catalog.catalog import Catalog
from extract.images.augmentation import View, augment
from extract.images.decoders import prepare_picture
from extract.images.reading import read_row
from extract.refusals import Refused
from extract.transforms.preprocessing import Preprocessing

if TYPE_CHECKING:
    from PIL import Image

MOST_PICTURES, MOST_COLUMNS = 6, 9
TILE, GAP, HEAD = 192, 6, 26


def draw_views(
    catalog: Catalog, preprocessing: Preprocessing, views: Sequence[View]
) -> Image.Image | None:
    """Draw some pictures of a catalogue, a row each: as they are, then their views.

    Returns
    -------
    Image or None
        None where not one of those chosen can be read.
    """
    shown = views[: MOST_COLUMNS - 1]
    rows: list[list[np.ndarray[Any, Any]]] = []
    step = max(1, len(catalog) // MOST_PICTURES)
    for row in range(len(catalog))[step // 2 :: step][:MOST_PICTURES]:
        try:
            file = read_row(catalog, row)
            plain = prepare_picture(file.content, {preprocessing}, "reference").pixels
        except Refused:
            continue
        own = plain[preprocessing]
        rows.append([own, *(augment(own, view, file.sha256) for view in shown)])
    return _grid(rows, ["plain", *(f"view {view.index}" for view in shown)]) if rows else None


def _grid(rows: list[list[np.ndarray[Any, Any]]], headings: Sequence[str]) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFont

    side = TILE + GAP
    sheet = Image.new("RGB", (GAP + len(headings) * side, HEAD + len(rows) * side), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column, heading in enumerate(headings):
        pen.text((GAP + column * side, 5), heading, fill="#333333", font=font)
    for i, row in enumerate(rows):
        for column, pixels in enumerate(row):
            tile = Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(tile, (GAP + column * side, HEAD + i * side))
    return sheet
