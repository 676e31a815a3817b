"""Explanations as files: sheets, tables, figures and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analyze.explanation import sheets, tables
from analyze.explanation.evaluation.evaluation import agreement_rows
from analyze.explanation.evaluation.figure import (
    draw_evaluation,
    draw_features,
    draw_places,
    title_of_method,
)
from analyze.explanation.explanation import Explanation
from analyze.explanation.reporting.gathered import Gathered, MethodScores
from analyze.explanation.reporting.request import Bar, ExplanationRequest, no_bar
from analyze.explanation.shapley import global_importance as totals
from analyze.explanation.shapley import sheets as share_sheets
from analyze.explanation.shapley.shap_values import Shares
from analyze.explanation.sheets import A_PAGE, pages_needed
from analyze.presentation import figure_style
from extract.results import write_csv, write_tables


def write_explanations(
    folder: Path,
    found: Sequence[Explanation],
    request: ExplanationRequest,
    gathered: Gathered,
    result: dict[str, Any],
    *,
    svg: bool = False,
    bar: Bar = no_bar,
) -> None:
    """Write sheets, tables and arrays; add items and scores to the result.

    Parameters
    ----------
    result : dict
        Its ``results`` is the folder, ``items`` and ``evaluation`` are lists.
    """
    methods = request.maps
    made, target = request.vectors.provenance, request.target
    model = made.title
    unseen = "each map on its own scale · gray: not seen by the model"
    subtitle = f"{model} · bright: speaks for it, {unseen}"
    with bar("sheets") as progress:
        names, n_pages = [], sheets.pages_needed(len(found))
        for method in methods:
            for page, sheet in enumerate(sheets.pages_of(found, method, target, subtitle)):
                names.append(method if n_pages == 1 else f"{method}-{page + 1}")
                figure_style.save(sheet, folder, names[-1], svg=svg)
                progress(len(names), n_pages * len(methods))
            own = [f"{result['results']}/{name}.png" for name in names[-n_pages:]]
            where = [own[i // sheets.A_PAGE] for i in range(len(found))]
            result["items"] += tables.items(found, method, target, where)
    if methods:
        tables.write_arrays(folder / "maps.npz", found, methods)
    of_shares = f"{model} · orange adds, purple takes away, {unseen}"
    _write_more(folder, request, gathered, of_shares, result, svg=svg)
    write_csv(folder / "explanations.csv", tables.HEADER, tables.rows(result["items"]))


def _write_more(
    folder: Path,
    request: ExplanationRequest,
    found: Gathered,
    subtitle: str,
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    """Write sheets, tables and figures of what was gathered; add items and scores to the result."""
    for method, shares in found.shares.items():
        _write_shares(folder, request, method, shares, subtitle, result, svg=svg)
    if found.features is not None:
        _write_features(folder, request, found.features, result, svg=svg)
    if found.scored is not None:
        _write_scores(folder, request, found.scored, result, svg=svg)


def _write_shares(
    folder: Path,
    request: ExplanationRequest,
    method: str,
    shares: Sequence[Shares],
    subtitle: str,
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    one = pages_needed(len(shares)) == 1
    names = []
    pages = share_sheets.pages_of(shares, method, request.target, subtitle)
    for page, sheet in enumerate(pages, start=1):
        names.append(method if one else f"{method}-{page}")
        figure_style.save(sheet, folder, names[-1], svg=svg)
    result["items"] += [
        each.to_json(request.target, f"{result['results']}/{names[i // A_PAGE]}.png")
        for i, each in enumerate(shares)
    ]
    total = totals.total(shares, request.target)
    written = {
        f"{method}_classes.csv": totals.class_rows(total),
        f"{method}_places.csv": totals.place_rows(total),
    }
    write_tables(folder, written)
    figure = draw_places(
        total.places,
        total.counts,
        title=f"{title_of_method(method)}: where in the frame, {request.vectors.provenance.name}",
        subtitle="mean size of the shares, of what the model sees, by the explained class",
    )
    figure_style.save(figure, folder, f"{method}_places", svg=svg)
    np.savez_compressed(
        folder / f"{method}.npz",
        ids=np.array([each.question.subject.id for each in shares]),
        shares=np.stack([each.attribution.signed for each in shares]),
        value=np.array([each.attribution.value for each in shares]),
        background=np.array([each.attribution.base for each in shares]),
    )


def _write_features(
    folder: Path,
    request: ExplanationRequest,
    features: tuple[np.ndarray, np.ndarray, np.ndarray],
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    shares, columns, errors = features
    name = request.vectors.provenance.name
    absolute, signed = totals.of_features(shares, columns, request.target)
    write_tables(folder, {"shap_features.csv": totals.feature_rows(absolute, signed)})
    figure = draw_features(
        absolute,
        title=f"Which of the {shares.shape[1]:,} numbers of {name} carry a class",
        subtitle=f"{len(shares)} pictures · median error of the sum {np.median(errors):.1%}",
    )
    figure_style.save(figure, folder, "shap_features", svg=svg)
    result["features"] = {
        "n_images": len(shares),
        "additivity_error": float(np.median(errors)),
        "largest": {
            name: np.argsort(-own, kind="stable")[:10].tolist() for name, own in absolute.items()
        },
    }


def _write_scores(
    folder: Path,
    request: ExplanationRequest,
    scored: MethodScores,
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    score_rows = [{"model": request.backbone.name, **score.to_json()} for score in scored.scores]
    result["evaluation"] = score_rows
    result["agreement"] = agreement_rows(scored.drawn)
    write_csv(
        folder / "evaluation.csv", list(score_rows[0]), [list(row.values()) for row in score_rows]
    )
    agreed = result["agreement"]
    if agreed:
        write_csv(folder / "agreement.csv", list(agreed[0]), [list(row.values()) for row in agreed])
    figure = draw_evaluation(
        scored.scores,
        title=f"Whether maps of {request.vectors.provenance.name} are to be believed",
        subtitle=f"{scored.scores[0].n_images} pictures · {request.followed.of} of one class · "
        "bars: 95 % over pictures · dashed: a map of noise",
    )
    figure_style.save(figure, folder, "evaluation", svg=svg)
