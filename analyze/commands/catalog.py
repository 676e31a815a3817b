"""``python -m analyze catalog``: what a catalogue holds, at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options
from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract import command_line as cl

if TYPE_CHECKING:
    from extract.storage.embeddings import EmbeddingSet

MOST_LISTED = 80


@cl.command()
def catalog(
    *,
    inputs: options.Inputs,
    level: options.LevelOption = None,
    examples: Annotated[
        int, typer.Option(metavar="N", min=1, max=12, help="Pictures a class.")
    ] = 6,
    folder: options.Pictures,
    seed: cl.SeedOption = 0,
    output: options.Output,
) -> None:
    """Show a catalogue at a glance: classes, how many pictures each, some of them, and copies."""
    from analyze.commands.selection.selection import choose_any, choose_one
    from analyze.measures.levels import choose_level
    from analyze.pictures.catalog_sheet import draw_glance, glance_at
    from analyze.pictures.picture_folder import PictureFolder
    from analyze.presentation import figure_style
    from extract.catalog.alike_labels import alike_labels
    from extract.storage.embeddings_file import read_embeddings

    workspace = output.workspace()
    selection = inputs.selection()
    # which backbone saw them is no matter here, unless that is asked
    path = (choose_one if folder.seen else choose_any)(workspace, selection)
    vectors = read_embeddings(path)
    pictures = PictureFolder.of(vectors, workspace, folder.images, seen=folder.seen)
    chosen = choose_level(vectors.levels, level, vectors.multi_labels)
    glance = glance_at(vectors, chosen)
    drawn = draw_glance(glance, pictures, n_examples=examples, seed=seed)
    result = {
        "file": workspace.relative(path),
        **vectors.provenance.to_json(),
        **glance.to_json(),
        "seed": seed,
        "notes": [
            *_labels_note(vectors),
            *alike_labels([*vectors.levels, *vectors.multi_labels]),
            *pictures.notes(),
        ],
    }
    with run_folder(workspace, "catalog", result, vectors) as at:
        figure_style.save(drawn, at, "catalog", svg=output.svg)
    output.print_result(result, _text(result))


def _labels_note(vectors: EmbeddingSet) -> list[str]:
    from analyze.measures.levels import no_labels

    several = vectors.multi_labels
    return (
        [f"{no_labels(several)}: classes are not shown"] if several and not vectors.levels else []
    )


def _text(result: dict[str, Any]) -> str:
    from extract.ids import shown

    level = f", level {result['level']}" if result["level"] else ", no labels"
    lines = [result["file"], f"{result['n_images']} pictures{level}"]
    classes = result["classes"]
    width = min(60, max(len(shown(each["class"])) for each in classes) + 2)
    lines += [
        f"  {shown(each['class'])[:width]:<{width}} {each['n_images']:>8,}"
        for each in classes[:MOST_LISTED]
    ]
    if len(classes) > MOST_LISTED:
        lines.append(f"  and {len(classes) - MOST_LISTED} more: --json lists them all")
    lines += wording.left_out(result)
    for same in result["equal_bytes"][:MOST_LISTED]:
        lines.append(f"equal byte for byte: {', '.join(map(shown, same))}")
    return "\n".join([*lines, *wording.closing(result)])
