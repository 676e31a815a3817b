"""``python -m analyze robustness``: what spoiled pictures do to the vectors of backbones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from analyze.commands import options
from analyze.commands.run_folder import present
from extract import command_line as cl
from extract.stopping import ended_by_signals


@dataclass(frozen=True)
class Request:
    """Which corruptions of how many pictures are measured, and by what."""

    family: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="noise, light, blur, jpeg, rotation, flip, crop, scale, border, background, cast "
            "or watermark; may be repeated. Default: all.",
        ),
    ] = None
    pictures: Annotated[
        int,
        typer.Option(metavar="N", min=2, help="Pictures to corrupt; of more, some are drawn."),
    ] = 1000
    head: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="head.json of a backbone; may be repeated."),
    ] = None
    vectors: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A new folder for the vectors, all computed again."),
    ] = None
    resamples: options.ResamplesOption = 2000


@cl.command()
def robustness(
    *,
    inputs: options.InputList,
    level: options.LevelOption = None,
    request: Request,
    images: options.ImagesOption = None,
    execution: options.Execution,
    seed: cl.SeedOption = 0,
    output: options.Output,
) -> None:
    """Embed corrupted pictures: what noise, light, blur, rotation and others cost a backbone."""
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.robustness.assessment import RobustnessSpec, Running, assess_pictures
    from analyze.stored_files.selection import choose_files
    from extract.storage.embeddings_file import read_embeddings

    families = tuple(request.family or ())
    spec = RobustnessSpec(families, request.pictures, request.resamples, seed)
    workspace = output.workspace()
    paths = choose_files(workspace, inputs.selection())
    heads = [workspace.find_file(head) for head in request.head or []]
    with ended_by_signals("stopped; what was finished so far is kept"):
        vectors = [read_embeddings(path) for path in paths]
        pictures = PictureFolder.of(vectors[0], workspace, images)
        with output.progress_bar("pictures") as progress:
            running = Running(
                workspace.cached_robustness,
                execution.weights,
                execution.device,
                request.vectors,
                progress,
            )
            found = assess_pictures(
                vectors, level, pictures, heads=heads, spec=spec, running=running
            )
        files = [workspace.relative(path) for path in paths]
        present(output, "robustness", found, vectors, {"files": files})
