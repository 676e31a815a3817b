"""``python -m extract catalogs``: what is stored in the workspace, and its removal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from extract import command_line as cl


@cl.command()
def catalogs(
    *,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[/FILE]",
            help="Remove a catalogue's files, or one of them, with labels, list of refusals and "
            "what is kept of its vectors; may be repeated. Pictures and results stay.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --remove: do not wait for an answer.")
    ] = False,
    common: cl.Common,
) -> None:
    """List the stored catalogues: backbones, rows, sizes, dates, and whether they are complete."""
    from extract.errors import UsageError
    from extract.storage.inventory.removal import plan_removal
    from extract.storage.inventory.stored_catalogs import as_text, describe_stored

    workspace = common.workspace()
    if not remove:
        described = describe_stored(workspace)
        common.print_result(described, as_text(described))
        return
    removal = plan_removal(workspace, remove)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nothing was removed: nobody is there to answer; give --yes")
        typer.echo(removal.text(), err=True)
        if not typer.confirm("remove them?", err=True):
            common.print_result({"removed": [], "n_bytes": 0}, "nothing was removed")
            return
    result, text = removal.to_json(), removal.text()
    removal.carry_out()
    common.print_result(result, f"removed:\n{text}")
