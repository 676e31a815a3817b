"""``python -m extract``: embed a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extract import command_line as cl
from extract.backbones.options import BackboneOptions
from extract.catalog.source import CatalogSource
from extract.pipeline.options import Options, Views

BEFORE = {
    "images": ("model",),
    "workers": ("dtype", "runtime", "compiled", "decoder", "batch_size"),
    "restart": ("copies", "output"),
}
"""Options that the help shows before an option, and not in the place of their group."""

FOLLOW_A_FILE = ("image_column", "resize")
"""Options with defaults that give way to what the file has; one that is typed does not."""


@cl.command(BEFORE)
def embed(
    context: typer.Context,
    *,
    source: CatalogSource,
    backbones: BackboneOptions,
    options: Options,
    copies: Views,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Embeddings file to write.")
    ] = None,
    common: cl.Common,
) -> None:
    """Embed a catalogue into cache/embeddings: what is there already is not computed again.

    Without --images and --manifest: data/ if it holds pictures, else the demo catalogue.
    """
    if context.invoked_subcommand:
        return
    from extract.pipeline.embedding import embed_catalog

    cl.refuse_fixed_by_recipe(context, backbones.recipe, backbones.fixed)
    embedded = embed_catalog(
        common.workspace(),
        source,
        backbones,
        options,
        views=copies,
        output=output,
        typed=[name for name in FOLLOW_A_FILE if cl.was_typed(context, name)],
        quiet=common.quiet,
    )
    common.print_result(embedded.to_json(), embedded.text())
    embedded.check()
