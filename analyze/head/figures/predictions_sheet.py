"""A sheet of predictions: some pictures of each class, the surest first, and those unlike all."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyze.head.prediction.predictions import Predictions
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation.contact_sheet import ClassRow, draw_classes
from analyze.presentation.palette import UNMATCHED, colored_places, style_at
from extract.command_line import counted_pictures

MOST_ROWS, LONGEST_COLUMN = 63, 21
UNLIKE = "unlike all that the head was trained on"


def draw_predictions(found: Predictions, pictures: PictureFolder) -> Any | None:
    """Draw a row a predicted class, and the pictures unlike all in one of their own, first.

    Of many classes the most predicted are drawn, with the number of the others.

    Returns
    -------
    Figure, or None where no picture can be opened
    """
    far, unlike = [], found.unlike
    if found.distances is not None and unlike is not None:
        far = [i for i in np.argsort(-found.distances).tolist() if unlike[i]]
    marked = set(far)
    alike = {k: [i for i in own if i not in marked] for k, own in found.by_class().items()}
    alike = {name: rows for name, rows in alike.items() if rows}
    most_predicted = sorted(alike, key=lambda name: -len(alike[name]))[: MOST_ROWS - 1]
    places = colored_places([len(alike.get(name, ())) for name in found.classes])
    colors = {k: style_at(place)[0] for k, place in zip(found.classes, places, strict=True)}
    wanted = [(k, rows, colors[k]) for k, rows in alike.items() if k in most_predicted]
    wanted = [*([(UNLIKE, far, UNMATCHED)] if far else []), *wanted]
    n_shown = 6 if len(wanted) <= LONGEST_COLUMN else 3
    rows = [
        ClassRow(name, len(own), color, [pictures.show(i) for i in own[:n_shown]])
        for name, own, color in wanted
    ]
    if not any(picture is not None for row in rows for picture in row.pictures):
        return None
    more = len(alike) - len(most_predicted)
    return draw_classes(
        rows,
        title=f"{counted_pictures(len(found.ids))} by predicted class",
        subtitle=f"up to {n_shown} of each class, the most probable first"
        + ("; of those unlike all the farthest" if far else "")
        + (f"; {more} classes predicted less often are not drawn" if more else ""),
        longest=LONGEST_COLUMN,
    )
