"""``python -m analyze runs``: the run folders, and two of them compared."""

from __future__ import annotations

from typing import Annotated

import typer

from extract import command_line as cl


@cl.command()
def runs(
    *,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B", help="What differs between two: names of run folders, or latest."
        ),
    ] = None,
    common: cl.Common,
) -> None:
    """List the run folders in results/: date, command, catalogue, backbone, main answer."""
    from analyze.run_history.run_differences import compare_runs
    from analyze.run_history.run_folders import find_run, list_runs

    workspace = common.workspace()
    found = (
        compare_runs(*(find_run(workspace, name) for name in compare))
        if compare
        else list_runs(workspace)
    )
    common.print_result(found.to_json(), found.text())
