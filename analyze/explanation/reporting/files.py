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
from analyze.explanation.targets import Target
from analyze.presentation import figure_style
from extract.command_line import counted_pictures
from extract.files.results import write_csv, write_tables

Features = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Shares of the dimensions, the explained columns, errors of the sums."""


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
        As of :func:`add_answers`.
    """
    add_answers(result, found, request, gathered)
    methods = request.maps
    made, target = request.vectors.provenance, request.target
    model = made.title
    subtitle = f"{model} · bright: speaks for it, {sheets.SCALE}"
    with bar("sheets") as progress:
        names = [name for method in methods for name in sheet_names(method, len(found))]
        drawn = (p for m in methods for p in sheets.pages_of(found, m, target, subtitle))
        for n_done, (name, sheet) in enumerate(zip(names, drawn, strict=True), start=1):
            figure_style.save(sheet, folder, name, svg=svg)
            progress(n_done, len(names))
    if methods:
        tables.write_arrays(folder / "maps.npz", found, methods)
    of_shares = f"{model} · orange adds, purple takes away, {sheets.SCALE}"
    _write_more(folder, request, gathered, of_shares, result, svg=svg)
    write_csv(folder / "explanations.csv", tables.HEADER, tables.rows(result["items"]))


def sheet_names(method: str, n_items: int) -> list[str]:
    """Name the sheets of a method, without an ending."""
    n_pages = pages_needed(n_items)
    return [method] if n_pages == 1 else [f"{method}-{page + 1}" for page in range(n_pages)]


def add_answers(
    result: dict[str, Any],
    found: Sequence[Explanation],
    request: ExplanationRequest,
    gathered: Gathered,
) -> None:
    """Add items, features and scores to a result.

    Parameters
    ----------
    result : dict
        Its ``results`` is the folder of the sheets, ``items`` and ``evaluation`` are lists.
    """

    def where(method: str, n_items: int) -> list[str]:
        names = sheet_names(method, n_items)
        return [f"{result['results']}/{names[i // A_PAGE]}.png" for i in range(n_items)]

    target = request.target
    for method in request.maps:
        result["items"] += tables.items(found, method, target, where(method, len(found)))
    for method, shares in gathered.shares.items():
        sheets_of = where(method, len(shares))
        both = zip(shares, sheets_of, strict=True)
        result["items"] += [each.to_json(target, sheet) for each, sheet in both]
    if gathered.features is not None:
        result["features"] = _features_json(gathered.features, target)
    if gathered.scored is not None:
        model = {"model": request.backbone.name}
        result["evaluation"] = [{**model, **score.to_json()} for score in gathered.scored.scores]
        result["agreement"] = agreement_rows(gathered.scored.drawn)


def _features_json(features: Features, target: Target) -> dict[str, Any]:
    shares, columns, errors = features
    absolute, _ = totals.of_features(shares, columns, target)
    return {
        "n_images": len(shares),
        "additivity_error": float(np.median(errors)),
        "largest": {
            name: np.argsort(-own, kind="stable")[:10].tolist() for name, own in absolute.items()
        },
    }


def _write_more(
    folder: Path,
    request: ExplanationRequest,
    found: Gathered,
    subtitle: str,
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    """Write sheets, tables and figures of what was gathered."""
    for method, shares in found.shares.items():
        _write_shares(folder, request, method, shares, subtitle, svg=svg)
    if found.features is not None:
        _write_features(folder, request, found.features, svg=svg)
    if found.scored is not None:
        _write_scores(folder, request, found.scored, result, svg=svg)


def _write_shares(
    folder: Path,
    request: ExplanationRequest,
    method: str,
    shares: Sequence[Shares],
    subtitle: str,
    *,
    svg: bool,
) -> None:
    pages = share_sheets.pages_of(shares, method, request.target, subtitle)
    for name, sheet in zip(sheet_names(method, len(shares)), pages, strict=True):
        figure_style.save(sheet, folder, name, svg=svg)
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
    features: Features,
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
        subtitle=f"{counted_pictures(len(shares))} · "
        f"median error of the sum {np.median(errors):.1%}",
    )
    figure_style.save(figure, folder, "shap_features", svg=svg)


def _write_scores(
    folder: Path,
    request: ExplanationRequest,
    scored: MethodScores,
    result: dict[str, Any],
    *,
    svg: bool,
) -> None:
    score_rows = result["evaluation"]
    write_csv(
        folder / "evaluation.csv", list(score_rows[0]), [list(row.values()) for row in score_rows]
    )
    agreed = result["agreement"]
    if agreed:
        write_csv(folder / "agreement.csv", list(agreed[0]), [list(row.values()) for row in agreed])
    figure = draw_evaluation(
        scored.scores,
        title=f"Whether maps of {request.vectors.provenance.name} are to be believed",
        subtitle=f"{counted_pictures(scored.scores[0].n_images)} · "
        f"{request.followed.of} of one class · bars: 95 % over pictures · dashed: a map of noise",
    )
    figure_style.save(figure, folder, "evaluation", svg=svg)
