"""Options that several commands of analyze share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from analyze.label_options import ClustersOption as ClustersOption
from analyze.label_options import LevelOption as LevelOption
from extract import command_line as cl

if TYPE_CHECKING:
    from analyze.stored_files.selection import Selection

STEPS_HELP = (
    "none, or steps joined by commas: l2, pca:50, pca:0.99, tsne, tsne:30:random, umap, umap:15."
)

ClustersOrAutoOption = Annotated[
    str | None,
    typer.Option(
        "--clusters",
        metavar="K|auto",
        help="Default: as many as classes; auto chooses without labels.",
    ),
]
CLUSTER_HELP = "kmeans, spherical, gmm, agglomerative, spectral or hdbscan."

ResamplesOption = Annotated[
    int,
    typer.Option(metavar="N", min=100, help="Bootstrap resamples of pictures, for the intervals."),
]
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
EmbeddingsListOption = Annotated[
    list[Path] | None,
    typer.Option("--embeddings", metavar="FILE", help="An embeddings file; may be repeated."),
]
ModelListOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME", help="All stored files of a backbone; may be repeated."
    ),
]
ResizeOption = Annotated[
    Literal["auto", "model", "crop", "squash", "pad"] | None,
    typer.Option(
        "--resize",
        help="Resize of the stored files: auto as extract makes them now, "
        "model as the weights came.",
    ),
]
PoolingOption = Annotated[
    str | None,
    typer.Option(
        "--pooling",
        metavar="auto|cls|mean|NAME",
        help="Pooling of the stored files: auto is the input of the model's own classifier.",
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR|FILE", help="The pictures, if outside the workspace."),
]
SeenOption = Annotated[
    bool, typer.Option("--seen", help="Show pictures as the model sees them, not whole.")
]
SvgOption = Annotated[bool, typer.Option("--svg", help="Figures as SVG too.")]


@dataclass(frozen=True)
class StoredFiles:
    """Which stored files are meant; groups that inherit it have ``embeddings`` and ``model``."""

    catalog: cl.CatalogOption = None
    resize: ResizeOption = None
    pooling: PoolingOption = None

    def selection(self) -> Selection:
        """Return what was typed, with nothing in the place of what was not."""
        from analyze.stored_files.selection import Selection

        typed = vars(self)
        named = typed["embeddings"], typed["model"]
        return Selection.of(*named, self.catalog, self.resize, self.pooling)


@dataclass(frozen=True)
class Inputs(StoredFiles):
    """Which stored file is meant."""

    embeddings: EmbeddingsOption = None
    model: ModelOption = None


@dataclass(frozen=True)
class InputList(StoredFiles):
    """Which stored files are meant."""

    embeddings: EmbeddingsListOption = None
    model: ModelListOption = None


@dataclass(frozen=True)
class JoinedInputs(StoredFiles):
    """Which stored files are meant, and what is made of their vectors."""

    embeddings: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An embeddings file; several with --join."),
    ] = None
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The stored file of a backbone; several with --join."),
    ] = None
    join: Annotated[
        bool, typer.Option("--join", help="Concatenate the vectors of several files.")
    ] = False
    views: Annotated[
        bool, typer.Option("--views", help="Average each picture with its stored views.")
    ] = False
    recipe: cl.RecipeOption = None


@dataclass(frozen=True)
class Index:
    """Which index is searched."""

    index: Annotated[
        str,
        typer.Option(metavar="NAME", help="auto, flat, sqfp16, sq8, hnsw, ivf or ivfpq."),
    ] = "auto"
    index_dims: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Project rows onto N principal components first."),
    ] = None
    recall: Annotated[
        float, typer.Option(metavar="R", help="Target recall of an approximate index.")
    ] = 0.98


@dataclass(frozen=True)
class Products:
    """Which column names products, and which weights embed new pictures."""

    name_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the products' names.")
    ] = None
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights, if the file's came from a file."),
    ] = None


@dataclass(frozen=True)
class Pictures:
    """Where pictures are, and how they are shown."""

    images: ImagesOption = None
    seen: SeenOption = False


@dataclass(frozen=True)
class Execution:
    """With which weights, and where, a backbone is run again."""

    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights, if the backbone's came from a file."),
    ] = None
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")] = (
        "auto"
    )


@dataclass(frozen=True)
class Output(cl.Common):
    """What is drawn, reported and printed, and where files lie."""

    svg: SvgOption = False
