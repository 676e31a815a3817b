"""What ``python -m analyze explain`` takes: what is explained, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from analyze.commands import options
from extract import command_line as cl
from extract.errors import UsageError


@dataclass(frozen=True)
class Wanted:
    """What was typed, as far as it says what is explained."""

    target: Annotated[
        str,
        typer.Option(metavar="NAME", help="head, pretrained, cluster or neighbor."),
    ] = "head"
    head: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The head.json of analyze head.")
    ] = None
    class_name: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME|N", help="Why this one? Default: the answer."),
    ] = None
    of: Annotated[
        str | None, typer.Option(metavar="NAME", help="logit (default) or probability.")
    ] = None
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="A picture; may be repeated.")
    ] = None
    image: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A new picture; may be repeated.")
    ] = None
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Of each class; 3 where no picture is named."),
    ] = None
    worst: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="The worst mistakes about held-out pictures."),
    ] = None
    neighbor: Annotated[
        str | None, typer.Option(metavar="ID", help="Held against it; default the nearest.")
    ] = None
    clusters: options.ClustersOption = None
    level: options.LevelOption = None
    seed: cl.SeedOption = 0

    @property
    def explained(self) -> str:
        """Name what is explained of the target: a logit, a probability or a similarity."""
        from analyze.explanation.targets import check_of

        return check_of(self.target, self.of)

    def __post_init__(self) -> None:
        from analyze.explanation.targets import check_of

        check_of(self.target, self.of)
        pair = self.target == "neighbor"
        for typed, name, fits in (
            (self.neighbor, "--neighbor", pair),
            (self.class_name, "--class", not pair),
            (self.worst, "--worst", self.target == "head"),
            (self.clusters, "--clusters", self.target == "cluster"),
        ):
            if typed is not None and not fits:
                raise UsageError(f"{name} does not go with --target {self.target}: leave it out")


@dataclass(frozen=True)
class Methods:
    """By which methods, and whether they are scored."""

    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="gradcam, hirescam, layercam, shap or superpixels; may be repeated.",
        ),
    ] = None
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Score the methods: are the maps to be believed?")
    ] = False
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="id, left, top, right, bottom: where things are."),
    ] = None
    samples: Annotated[
        int, typer.Option(metavar="N", min=10, help="Of each picture's shares (shap).")
    ] = 200
