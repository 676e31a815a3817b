"""``python -m analyze report``: everything that was found, on one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from analyze.commands import options
from extract import command_line as cl
from extract.stopping import ended_by_signals


@dataclass(frozen=True)
class Page:
    """What is on the page, in which language."""

    language: Annotated[
        Literal["en", "fr"], typer.Option("--language", help="English or French.")
    ] = "en"
    level: options.LevelOption = None
    name_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the products' names.")
    ] = None
    images: options.ImagesOption = None


@cl.command()
def report(*, inputs: options.InputList, page: Page, output: cl.Common) -> None:
    """One page for people: maps, matrices, clusters and scores of all backbones, offline."""
    from analyze.commands.run_folder import run_folder
    from analyze.reporting.gathering import ReportRequest, gather_report
    from analyze.stored_files.selection import choose_files

    workspace, wanted = output.workspace(), inputs.selection()
    paths = choose_files(workspace, wanted)
    request = ReportRequest(page.level, page.language, page.name_column, page.images)
    with ended_by_signals("stopped; nothing is written"):
        with output.progress_bar("pictures") as progress:
            found = gather_report(workspace, paths, request, progress)
        files = [workspace.relative(path) for path in paths]
        result = {"files": files, **found.to_json()}
        vectors = [each.embeddings for each in found.backbones]
        with run_folder(workspace, "report", result, vectors) as folder:
            found.save(folder / "report.html")
            result["page"] = f"{result['results']}/report.html"
    output.print_result(result, "\n".join([found.text(), f"report: {result['page']}"]))
