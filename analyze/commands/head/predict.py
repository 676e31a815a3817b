"""``python -m analyze predict``: predictions of a trained head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from analyze.commands import options
from analyze.commands.head.requested_files import embed_like_training_set, files_of_all
from analyze.commands.run_folder import run_folder
from extract import command_line as cl
from extract.errors import UsageError


@cl.command()
def predict(
    *,
    head: Annotated[Path, typer.Option(metavar="FILE", help="The head.json of analyze head.")],
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Pictures; they are embedded as the head's training set was."
        ),
    ] = None,
    inputs: options.Inputs,
    abstain_below: Annotated[
        float, typer.Option(metavar="P", help="Abstain below this probability.")
    ] = 0.0,
    execution: options.Execution,
    output: options.Output,
) -> None:
    """Give every picture its class, or its labels, with probabilities, as a CSV.

    Without --images the stored file of --embeddings, --model or --catalog is used.
    """
    from analyze.head.figures.predictions_sheet import draw_predictions
    from analyze.head.joined import is_joined
    from analyze.head.prediction.head_file import read_head
    from analyze.head.prediction.predictions import predict as predict_one
    from analyze.head.reporting.prediction_report import (
        predictions_json,
        predictions_table,
        predictions_text,
    )
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.presentation.figure_style import save
    from analyze.reduction.concatenation import join_embeddings
    from analyze.stored_files.selection import Selection, choose_for_head
    from extract.files.results import write_tables
    from extract.storage.embeddings_file import read_embeddings

    workspace = output.workspace()
    wanted = inputs.selection()
    if images is not None and wanted != Selection(catalog=inputs.catalog):
        raise UsageError(
            "--images are embedded as the head's training set was: leave --embeddings and --model, "
            "--resize and --pooling out"
        )
    stored = read_head(workspace.find_file(head))
    if images is not None:
        paths = embed_like_training_set(
            workspace, stored, images, inputs.catalog, execution, quiet=output.quiet
        )
    elif is_joined(stored.provenance):
        paths = files_of_all(workspace, stored, wanted)
    else:
        paths = [choose_for_head(workspace, stored.provenance, wanted)]
    read = [read_embeddings(path) for path in paths]
    vectors = join_embeddings(read)[0] if len(read) > 1 else read[0]
    found = predict_one(stored, vectors, abstain_below=abstain_below)
    result = {
        "file": None,
        "embeddings": workspace.relative(paths[0]),
        **predictions_json(stored, found, vectors.left_out),
    }
    # of joined backbones the first one's file knows the folder
    shown = replace(vectors, provenance=read[0].provenance)
    pictures = PictureFolder.of(shown, workspace, images)
    sheet = draw_predictions(found, pictures)
    result["notes"] += pictures.notes()
    with run_folder(workspace, "predict", result, read) as folder:
        write_tables(folder, {"predictions.csv": predictions_table(paths[0], found)})
        result["file"] = f"{result['results']}/predictions.csv"
        if sheet is not None:
            save(sheet, folder, "predictions", svg=output.svg)
    output.print_result(result, predictions_text(result))
