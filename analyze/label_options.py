"""Options that name labels and clusters, for commands and for the settings of libraries."""

from __future__ import annotations

from typing import Annotated

import typer

LevelOption = Annotated[
    str | None,
    typer.Option("--level", metavar="NAME|N", help="Level of labels; default the first."),
]
ClustersOption = Annotated[
    int | None,
    typer.Option("--clusters", metavar="K", help="Default: as many as classes."),
]
