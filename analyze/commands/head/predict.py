"""``python -m analyze predict``: what a trained head says of pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options
from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract import command_line as cl
from extract.errors import UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.commands.selection.selection import Selection
    from analyze.head.prediction.head_file import StoredHead
    from analyze.head.prediction.predictions import Predictions

MOST_CLASSES = 12
EARLIER = "head of an earlier version: unlike pictures are not marked; train it again"


@cl.command()
def predict(
    *,
    head: Annotated[Path, typer.Option(metavar="FILE", help="The head.json of analyze head.")],
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Pictures; they are embedded as the head was taught."),
    ] = None,
    inputs: options.Inputs,
    abstain_below: Annotated[
        float, typer.Option(metavar="P", help="Say nothing of pictures less probable.")
    ] = 0.0,
    execution: options.Execution,
    output: options.Output,
) -> None:
    """Give every picture its class, or its labels, with probabilities, as a CSV.

    Without --images the stored file of --embeddings, --model or --catalog is asked.
    """
    from analyze.commands.selection.selection import Selection, choose_for_head
    from analyze.head.figures.predictions_sheet import draw_predictions
    from analyze.head.joined import is_joined
    from analyze.head.prediction.head_file import read_head
    from analyze.head.prediction.predictions import predict as predict_one
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.presentation.figure_style import save
    from analyze.reduction.concatenation import join_embeddings
    from extract.storage.embeddings_file import read_embeddings

    workspace = output.workspace()
    wanted = inputs.selection()
    if images is not None and wanted != Selection(catalog=inputs.catalog):
        raise UsageError(
            "--images are embedded anew, as the head was taught: leave --embeddings and --model, "
            "--resize and --pooling out"
        )
    stored = read_head(workspace.find_file(head))
    if images is not None:
        paths = _embed(workspace, stored, images, inputs.catalog, execution, quiet=output.quiet)
    elif is_joined(stored.provenance):
        paths = _stored(workspace, stored, wanted)
    else:
        paths = [choose_for_head(workspace, stored.provenance, wanted)]
    read = [read_embeddings(path) for path in paths]
    vectors = join_embeddings(read)[0] if len(read) > 1 else read[0]
    found = predict_one(stored, vectors, abstain_below=abstain_below)
    path = paths[0]
    result = _result(workspace, path, stored, found, vectors.left_out)
    # of joined backbones the first one's file knows the folder
    shown = replace(vectors, provenance=read[0].provenance)
    pictures = PictureFolder.of(shown, workspace, images)
    sheet = draw_predictions(found, pictures)
    result["notes"] += pictures.notes()
    with run_folder(workspace, "predict", result, read) as folder:
        from extract.results import write_csv

        header, *rows = found.table()
        write_csv(
            folder / "predictions.csv", [*header, "not_asked"], _all_rows(path, rows, len(header))
        )
        result["file"] = f"{result['results']}/predictions.csv"
        if sheet is not None:
            save(sheet, folder, "predictions", svg=output.svg)
    output.print_result(result, _text(result))


def _embed(
    workspace: Workspace,
    stored: StoredHead,
    images: Path,
    name: str | None,
    execution: options.Execution,
    *,
    quiet: bool,
) -> list[Path]:
    """Embed a folder with the backbones that the head was taught, into the cache."""
    from analyze.head.joined import parts_of
    from extract.backbones.partial_finetuning import tuned, untuned_identity
    from extract.backbones.registry import load_again
    from extract.catalog.imagefolder import list_imagefolder
    from extract.inference.execution_config import device_for
    from extract.pipeline.embedded import nothing_embedded
    from extract.pipeline.embedding import embed_targets
    from extract.pipeline.extraction import Target
    from extract.pipeline.options import Options
    from extract.storage.catalog_roots import check_root

    own = (workspace.cache, workspace.results)
    listed = list_imagefolder(images, name=name, leave_out=own)
    check_root(workspace, listed, None)
    targets = []
    for part in parts_of(stored.provenance):
        plain = replace(part, identity=untuned_identity(part.identity))
        backbone = load_again(
            plain, weights_file=execution.weights if part.weights == "file" else None
        )
        if stored.stage:
            backbone = tuned(backbone, stored.stage)
        identity = backbone.provenance.short_identity
        path = workspace.embeddings_file(listed.name, backbone.name, identity)
        targets.append(Target(backbone.on(device_for(path, execution.device)), path))
    for report in embed_targets(workspace, listed, targets, Options(), quiet):
        if report.holds_nothing:
            raise nothing_embedded(workspace, report)
    return [target.path for target in targets]


def _stored(workspace: Workspace, stored: StoredHead, wanted: Selection) -> list[Path]:
    """Find the files of a catalogue that a head on several backbones reads."""
    from analyze.commands.selection.selection import Selection, up_to_date
    from analyze.head.joined import parts_of
    from extract.storage.embeddings_file import read_provenance

    catalog = wanted.catalog
    if catalog is None or wanted != Selection(catalog=catalog):
        raise UsageError(
            f"the head reads {stored.provenance.model}: say of which pictures with --catalog NAME "
            "alone, or give --images DIR"
        )
    there = {read_provenance(p).identity_sha256: p for p in workspace.stored_embeddings(catalog)}
    parts = parts_of(stored.provenance)
    for part in parts:
        if part.identity_sha256 not in there:
            raise UsageError(
                f"catalogue {catalog!r} has no vectors of {part.model} ({part.words}), "
                "which the head reads: give --images DIR, and they are embedded"
            )
    return list(up_to_date(workspace, [there[part.identity_sha256] for part in parts]))


def _all_rows(path: Path, answered: list[list[Any]], width: int) -> list[list[Any]]:
    """Put pictures that have no vector into their places, with the reason."""
    import numpy as np

    from extract.refusals import SOUND, TO_DO, Reason
    from extract.storage.embeddings_file import read_table

    table = read_table(path)
    of_id = {row[0]: [*row, ""] for row in answered}
    status = np.where(table.refused() | (table.rows.status == TO_DO), table.rows.status, SOUND)
    why = {SOUND: "damaged", TO_DO: "to do", **{int(r): r.code for r in Reason}}
    return [
        of_id.get(row_id) or [row_id, *[""] * (width - 1), why.get(status[i], "unknown")]
        for i, row_id in enumerate(table.ids)
    ]


def _result(
    workspace: Workspace,
    path: Path,
    stored: StoredHead,
    found: Predictions,
    left_out: Any,
) -> dict[str, Any]:
    return {
        "file": None,
        "embeddings": workspace.relative(path),
        **stored.provenance.to_json(),
        "level": stored.levels[-1],
        "levels": list(stored.levels),
        "n_images": len(found.ids),
        "abstain_below": found.abstain_below,
        "abstained": int(found.abstained.sum()),
        "n_unlike": None if found.unlike is None else int(found.unlike.sum()),
        "unlike_above": stored.vectors.unlike_above if stored.vectors else None,
        "share_unlike_tested": stored.about.get("share_unlike"),
        "classes": found.counts(),
        "left_out": sum(left_out.values()),
        "left_out_by_reason": dict(left_out),
        "notes": _notes(stored, found),
    }


def _notes(stored: StoredHead, found: Predictions) -> list[str]:
    """Say what the head's files lack, and of how many pictures the answer is no news."""
    split = stored.about.get("split")
    sides = [split.get(side, ()) for side in ("train", "validation")] if split else []
    taught = {row_id for side in sides for row_id in side}
    n_taught = sum(row_id in taught for row_id in found.ids)
    notes = [*stored.notes, *([] if stored.vectors else [EARLIER])]
    if not n_taught:
        return notes
    return [
        *notes,
        f"{n_taught} of {len(found.ids)} pictures were taught, by their ids: what is said of them "
        "is no measure of the head",
    ]


def _text(result: dict[str, Any]) -> str:
    from extract.ids import shown

    counts = sorted(result["classes"].items(), key=lambda item: (-item[1], item[0]))
    width = max(len(shown(name)) for name, _ in counts)
    levels = f"level{'s' * (len(result['levels']) > 1)} {', '.join(result['levels'])}"
    lines = [f"{result['embeddings']}: {result['n_images']} pictures, {levels}"]
    lines += wording.left_out(result)
    lines += [f"{shown(name):<{width}}  {n:>6}" for name, n in counts[:MOST_CLASSES]]
    if len(counts) > MOST_CLASSES:
        lines.append(f"and {len(counts) - MOST_CLASSES} more classes")
    if result["abstain_below"]:
        lines.append(f"{result['abstained']} less probable than {result['abstain_below']:g}: empty")
    if result["n_unlike"]:
        tested = result["share_unlike_tested"]
        lines.append(
            f"{result['n_unlike']} unlike all that the head was trained on: farther than "
            f"{result['unlike_above']:.3f} from the nearest"
            + (
                f"; of the pictures it was tested on {tested:.1%} are"
                if isinstance(tested, int | float)
                else ""
            )
        )
    lines.append(f"every picture: {result['file']}")
    return "\n".join([*lines, *wording.closing(result)])
