"""``python -m extract models``: the table of backbones, and one of them exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extract import command_line as cl
from extract.backbones.options import BackboneOptions


@cl.command()
def models(
    context: typer.Context,
    *,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Export one backbone to a .exported.zip; in cache/backbones it computes vectors "
            "without torch.",
        ),
    ] = None,
    backbones: BackboneOptions,
    common: cl.Common,
) -> None:
    """Show the table of backbones and whether their weights are here; or export one."""
    if export is not None:
        from extract.inference.exporting import export_chosen

        cl.refuse_fixed_by_recipe(context, backbones.recipe, backbones.fixed)
        exported = export_chosen(backbones, export, common.workspace())
        common.print_result(exported.to_json(), exported.text())
        return
    from extract.backbones.models_table import as_text, list_models

    rows = list_models()
    common.print_result({"models": rows}, as_text(rows))
