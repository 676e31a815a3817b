"""What the page's script needs, as JSON; numbers of many rows as base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from analyze.reporting.backbones import Backbone
from analyze.reporting.content import ReportContent
from analyze.reporting.page.thumbnails import A_SHEET, ACROSS
from extract.ids import shown

LONGEST_NAME = 200
PLACES = 65_535


def page_data(report: ReportContent, sheets: Sequence[str]) -> dict[str, Any]:
    """Spell what the script draws.

    Parameters
    ----------
    report : ReportContent
    sheets : sequence of str
        Addresses of the sheets of pictures, relative to the page.
    """
    wanted = {*report.parts}
    clustered = wanted & {"confusion", "clusters", "pairs"}
    return {
        "language": report.words.language,
        "n": len(report.ids),
        "ids": [shown(each)[:LONGEST_NAME] for each in report.ids],
        "names": None
        if report.names is None
        else [shown(each)[:LONGEST_NAME] for each in report.names],
        "thumbs": list(report.thumbnails.inside) or None,
        "sheets": {"files": list(sheets), "across": ACROSS, "each": A_SHEET} if sheets else None,
        "columns": [
            {
                "title": each.title,
                "kind": each.kind,
                "categories": list(each.categories),
                "codes": _packed(each.codes.astype("<i4")),
                "styles": list(each.styles),
            }
            for each in report.columns
        ],
        "maps": _maps(report.backbones),
        "clusterings": [_clustering(report, each) for each in report.backbones if each.clustered]
        if clustered
        else [],
        "classes": list(report.class_order),
        "groups": [[shown(name), n] for name, n in report.groups],
        "pairs": [
            {"a": shown(p.a), "b": shown(p.b), "rows": list(p.rows[:60]), "nOfA": p.n_of_a}
            for p in report.pairs
        ],
        "texts": report.words.of_script,
    }


def _maps(backbones: Sequence[Backbone]) -> list[dict[str, Any]]:
    """Scale all maps alike, as they are laid over each other; y down."""
    drawn = [(each, each.map.points) for each in backbones if each.map is not None]
    if not drawn:
        return []
    everything = np.concatenate([points for _, points in drawn])
    low, high = everything.min(axis=0), everything.max(axis=0)
    across, down = np.maximum(high - low, 1e-12).tolist()
    side = max(across, down)
    found = []
    for each, points in drawn:
        places = (points - (low + high) / 2) / side * np.array([1, -1]) + 0.5
        whole = np.round(np.clip(places, 0, 1) * PLACES).astype("<u2")
        shape = [across / side, down / side]
        found.append({"name": each.name, "points": _packed(whole), "shape": shape})
    return found


def _clustering(report: ReportContent, backbone: Backbone) -> dict[str, Any]:
    clustered = backbone.clustered
    assert clustered is not None
    titled = report.words("clusters_of", model=backbone.name)
    place = {name: i for i, name in enumerate(report.level.categories)} if report.level else {}
    numbers = [int(c) for c in np.unique(clustered.assignments)]
    cards = []
    for card in clustered.cards:
        classes = [[shown(name), n] for name, n in card.classes]
        matched = None if card.matched is None else shown(card.matched)
        cards.append({**card.to_json(), "matched": matched, "classes": classes})
    return {
        "name": backbone.name,
        "setting": clustered.setting,
        "column": next(i for i, c in enumerate(report.columns) if c.title == titled),
        "matched": [place.get(clustered.matched.get(number, ""), -1) for number in numbers],
        "cards": cards,
    }


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
