"""The folder of one run: ``run.json`` in it, and whatever else the command writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract import command_line as cl
from extract.workspace import Workspace

if TYPE_CHECKING:
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
    from extract import results

    with results.new_run(workspace.results, name) as (folder, final):
        result["results"] = workspace.relative(final)
        record = run_record(cl.typed_command(COMMAND), inputs)
        yield folder
        results.write_json(folder / "run.json", {**result, **record})
