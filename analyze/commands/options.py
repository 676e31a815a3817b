"""Options that several commands of analyze share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

STEPS_HELP = (
    "none, or steps joined by commas: l2, pca:50, pca:0.99, tsne, tsne:30:random, umap, umap:15."
)

LevelOption = Annotated[
    str | None,
    typer.Option("--level", metavar="NAME|N", help="Level of labels; default the first."),
]
ClustersOrAutoOption = Annotated[
    str | None,
    typer.Option(
        "--clusters",
        metavar="K|auto",
        help="Default: as many as classes; auto chooses without labels.",
    ),
]
ClustersOption = Annotated[
    int | None,
    typer.Option("--clusters", metavar="K", help="Default: as many as classes."),
]
CLUSTER_HELP = "kmeans, spherical, gmm, agglomerative, spectral or hdbscan."

ClusterOption = Annotated[
    str,
    typer.Option("--cluster", metavar="NAME", help=CLUSTER_HELP),
]
EmbeddingsOption = Annotated[
    Path | None,
    typer.Option("--embeddings", metavar="FILE", help="An embeddings file."),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="The stored file of this backbone."),
]
SeveralEmbeddingsOption = Annotated[
    list[Path] | None,
    typer.Option("--embeddings", metavar="FILE", help="An embeddings file; may be repeated."),
]
SeveralModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME", help="All stored files of a backbone; may be repeated."
    ),
]
ResizeOption = Annotated[
    Literal["auto", "model", "crop", "squash", "pad"] | None,
    typer.Option(
        "--resize", help="Of stored files: auto as extract makes them now, model as weights came."
    ),
]
PoolingOption = Annotated[
    str | None,
    typer.Option(
        "--pooling",
        metavar="auto|cls|mean|NAME",
        help="Of stored files: auto is what the model's own classifier reads.",
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="The pictures, if outside the workspace."),
]
SeenOption = Annotated[
    bool, typer.Option("--seen", help="Show pictures as the model saw them, not whole.")
]
SvgOption = Annotated[bool, typer.Option("--svg", help="Figures as SVG too.")]
