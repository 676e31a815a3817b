"""What is explained, as Python and the command line give it: nothing heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from analyze.label_options import ClustersOption, LevelOption
from extract.command_line import SeedOption
from extract.errors import UsageError


@dataclass(frozen=True)
class ExplanationSpec:
    """Which answers are explained, and of which pictures.

    Examples
    --------
    >>> from analyze import ExplanationSpec
    >>> ExplanationSpec("cluster", clusters=7, sample=2).explained
    'similarity'
    """

    target: Annotated[
        str,
        typer.Option(metavar="NAME", help="head, pretrained, cluster or neighbor."),
    ] = "head"
    head: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The head.json of analyze head.")
    ] = None
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME|N", help="Class to explain; default: the predicted one."
        ),
    ] = None
    of: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Output explained: logit (default) or probability."),
    ] = None
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="A picture; may be repeated.")
    ] = None
    image: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A new picture; may be repeated.")
    ] = None
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Pictures per class; 3 where no picture is named."),
    ] = None
    worst: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="The worst mistakes about held-out pictures."),
    ] = None
    neighbor: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Neighbor to compare with; default the nearest."),
    ] = None
    clusters: ClustersOption = None
    level: LevelOption = None
    seed: SeedOption = 0

    @property
    def explained(self) -> str:
        """Name what is explained of the target: a logit, a probability or a similarity."""
        from analyze.explanation.targets import check_of

        return check_of(self.target, self.of)

    def __post_init__(self) -> None:
        from analyze.explanation.targets import check_of

        if self.head is not None:  # from Python any path
            object.__setattr__(self, "head", Path(self.head))
        if self.image is not None:
            object.__setattr__(self, "image", [Path(path) for path in self.image])
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
