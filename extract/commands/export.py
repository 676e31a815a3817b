"""``python -m extract export``: embeddings for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from extract import command_line as cl


@cl.command()
def export(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An embeddings file.")],
    file_format: Annotated[
        Literal["npz", "csv", "parquet"] | None,
        typer.Option("--format", help="Default: what --output ends in, or npz."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default: the file's name, in the workspace."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file.")] = False,
    common: cl.Common,
) -> None:
    """Write the sound rows as npz, CSV or parquet: ids, vectors, labels, other columns."""
    from extract.errors import UsageError
    from extract.storage.embeddings_file import read_embeddings
    from extract.storage.export import check_can_export, choose_format, export_embeddings

    workspace = common.workspace()
    source = workspace.find_file(file)
    chosen = choose_format(file_format, output)
    path = output or workspace.root / f"{source.stem}.{chosen}"
    if path.exists() and source.exists() and path.samefile(source):
        raise UsageError(f"{path} is the embeddings file itself: give another --output FILE")
    check_can_export(path, chosen, overwrite=overwrite)
    vectors = read_embeddings(source)
    with cl.progress_bar("rows", quiet=common.quiet or chosen != "csv") as progress:
        notes = export_embeddings(vectors, path, chosen, overwrite=overwrite, progress=progress)
    result = {
        "file": workspace.relative(path),
        "format": chosen,
        "n_images": len(vectors),
        "n_dims": int(vectors.vectors.shape[1]),
        "left_out": sum(vectors.left_out.values()),
        "left_out_by_reason": dict(vectors.left_out),
        "source": workspace.relative(source),
        "notes": list(notes),
    }
    common.print_result(result, _text(result))


def _text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['file']}",
        f"{result['n_images']} rows of {result['n_dims']} numbers from {result['source']}",
    ]
    if result["left_out"]:
        lines.append(f"left out: {cl.counted(result['left_out_by_reason'])}")
    return "\n".join([*lines, *(f"note: {note}" for note in result["notes"])])
