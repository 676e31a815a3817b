"""The folder of one run, with ``run.json`` in it, and a result written there and printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract import command_line as cl
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.commands.options import Output
    from analyze.presentation.result import Result
    from extract.storage.embeddings import EmbeddingSet

COMMAND = "python -m analyze"


@contextmanager
def run_folder(
    workspace: Workspace,
    name: str,
    result: dict[str, Any],
    inputs: EmbeddingSet | Sequence[EmbeddingSet],
) -> Iterator[Path]:
    """Give the folder to write into; ``result`` learns where it will lie, and is written last.

    Parameters
    ----------
    name : str
        Of the command, part of the folder's name.
    result : dict
        What ``--json`` prints; ``results`` is added to it.
    inputs : EmbeddingSet or sequence of them
    """
    from analyze.presentation.run_record import run_record
    from extract.files import results

    with results.new_run(workspace.results, name) as (folder, final):
        result["results"] = workspace.relative(final)
        record = run_record(cl.typed_command(COMMAND), inputs)
        yield folder
        results.write_json(folder / "run.json", {**result, **record})


def present(
    output: Output,
    command: str,
    found: Result,
    inputs: EmbeddingSet | Sequence[EmbeddingSet],
    named: Mapping[str, Any],
    **more: Any,
) -> None:
    """Write a result into a folder of its own, and print it below its input files.

    Parameters
    ----------
    output : Output
    command : str
        Part of the folder's name.
    found : Result
    inputs : EmbeddingSet or sequence of them
    named : mapping
        What the printed object begins with: ``file`` or ``files``, relative to the workspace.
    more
        What it has behind the result's own keys.
    """
    from analyze.presentation.run_record import run_record
    from extract.files import results

    workspace = output.workspace()
    with results.new_run(workspace.results, command) as (folder, final):
        found.save(folder, svg=output.svg)
        where = workspace.relative(final)
        # behind the drawing: notes are on the pictures that were opened for it
        result = {**named, **found.to_json(), **more, "results": where}
        record = run_record(cl.typed_command(COMMAND), inputs)
        results.write_json(folder / "run.json", {**result, **record})
    files = named["files"] if "files" in named else [named["file"]]
    output.print_result(result, "\n".join([*files, found.text(), f"results: {where}"]))
