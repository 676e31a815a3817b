"""By which methods, as Python and the command line give it: nothing heavy is loaded."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from extract.errors import UsageError, one_of

if TYPE_CHECKING:
    from analyze.explanation.evaluation.measured_maps import Box


@dataclass(frozen=True)
class ExplanationMethods:
    """By which methods, and whether they are scored.

    Examples
    --------
    >>> from analyze import ExplanationMethods
    >>> ExplanationMethods(["gradcam", "layercam"]).maps
    ('gradcam', 'layercam')
    """

    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="gradcam, hirescam, layercam, shap or superpixels; may be repeated.",
        ),
    ] = None
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Evaluate how faithful the maps are.")
    ] = False
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Boxes of objects: id, left, top, right, bottom."),
    ] = None
    samples: Annotated[
        int, typer.Option(metavar="N", min=10, help="Samples per picture for SHAP values.")
    ] = 200

    def __post_init__(self) -> None:
        if self.boxes is not None:  # from Python any path
            object.__setattr__(self, "boxes", Path(self.boxes))
        if self.boxes is not None and not self.evaluate:
            raise UsageError("--boxes is read by --evaluate: give that too")

    @cached_property
    def chosen(self) -> tuple[str, ...]:
        """Those that were typed, each once; without any the usual ones.

        Raises
        ------
        UsageError
            When there is no such method, or what it needs is not installed.
        """
        from analyze.explanation.saliency_maps import METHODS
        from analyze.explanation.shapley.attributions import ATTRIBUTIONS, require_shap

        there = [*METHODS, *ATTRIBUTIONS]
        methods = tuple(dict.fromkeys(self.method or (there if self.evaluate else ["gradcam"])))
        for name in methods:
            one_of(name, there, "method")
        if any(name in ATTRIBUTIONS for name in methods):
            require_shap()
        return methods

    @property
    def by_default(self) -> bool:
        """Whether none was typed: then one that a backbone has no map by is left out."""
        return not self.method

    def check(self) -> None:
        """Refuse methods that are not there, before anything is read.

        Raises
        ------
        UsageError
        """
        _ = self.chosen

    @property
    def maps(self) -> tuple[str, ...]:
        """Those that draw what an answer looks at."""
        from analyze.explanation.saliency_maps import METHODS

        return tuple(name for name in self.chosen if name in METHODS)

    @property
    def shares(self) -> tuple[str, ...]:
        """Those that share an answer out."""
        return tuple(name for name in self.chosen if name not in self.maps)


def read_boxes(path: Path | None) -> dict[str, Box]:
    """Read boxes from a CSV of id, left, top, right, bottom.

    Raises
    ------
    UsageError
        When there is no such file, or it is no table of boxes.
    """
    from analyze.explanation.evaluation.measured_maps import boxes_of

    if path is None:
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return boxes_of(list(csv.DictReader(file)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"--boxes {path}: {why}; a CSV of id, left, top, right, bottom in pixels is wanted"
        ) from error
