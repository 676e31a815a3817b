"""``python -m extract models``: the table of backbones."""

from __future__ import annotations

from extract import command_line as cl


@cl.command()
def models(*, printing: cl.Printing) -> None:
    """Show the table of backbones and whether their weights are here."""
    from extract.backbones.models_table import as_text, list_models

    rows = list_models()
    printing.print_result({"models": rows}, as_text(rows))
