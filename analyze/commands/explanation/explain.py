"""``python -m analyze explain``: which places of a picture speak for an answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from analyze.commands import options
from analyze.commands.run_folder import run_folder
from analyze.explanation.reporting.methods import ExplanationMethods
from analyze.explanation.spec import ExplanationSpec
from extract import command_line as cl
from extract.errors import UsageError
from extract.stopping import ended_by_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.head.prediction.head_file import StoredHead
    from analyze.stored_files.selection import Selection


@cl.command(
    {"ids": ("methods",), "level": ("inputs",), "seed": ("images", "execution")},
)
def explain(
    *,
    wanted: ExplanationSpec,
    methods: ExplanationMethods,
    inputs: options.Inputs,
    images: options.ImagesOption = None,
    execution: options.Execution,
    output: options.Output,
) -> None:
    """Show which places of a picture speak for its class, its cluster, or its neighbor."""
    from analyze.explanation.reporting.explained import explain_pictures
    from analyze.explanation.reporting.text import explanations_text
    from analyze.pictures.picture_folder import PictureFolder
    from extract.storage.embeddings_file import read_embeddings

    methods.check()
    workspace, bar = output.workspace(), output.progress_bar
    stored = _head(workspace, wanted)
    path = _file(workspace, stored, inputs.selection())
    vectors = read_embeddings(path)
    pictures = PictureFolder.of(vectors, workspace, images)
    with ended_by_signals("stopped; nothing is written"):
        weights, device = execution.weights, execution.device
        about = (pictures, wanted, methods, stored)
        found = explain_pictures(*about, weights=weights, device=device, bar=bar)
        result = {"file": workspace.relative(path), **found.answered()}
        if wanted.head is not None:
            result["head"] = workspace.relative(workspace.find_file(wanted.head))
        with run_folder(workspace, "explain", result, vectors) as folder:
            found.save(folder, svg=output.svg, result=result, bar=bar)
    output.print_result(result, explanations_text(found.request.target, found.gathered, result))


def _head(workspace: Workspace, wanted: ExplanationSpec) -> StoredHead | None:
    """Read the head that is explained; never choose among those there are.

    Raises
    ------
    UsageError
        When none is named, with one that is there.
    """
    from analyze.head.prediction.head_file import read_head

    if wanted.target != "head":
        if wanted.head is not None:
            raise UsageError(f"--head does not go with --target {wanted.target}: leave it out")
        return None
    if wanted.head is None:
        there = sorted(workspace.results.glob("[!.]*-head*/head.json"))
        found = workspace.relative(there[-1]) if there else "results/.../head.json"
        raise UsageError(
            f"which head? Give it with --head {found}, or take --target pretrained, cluster or "
            "neighbor, which need none"
        )
    return read_head(workspace.find_file(wanted.head))


def _file(workspace: Workspace, stored: StoredHead | None, wanted: Selection) -> Path:
    """Return the embeddings that are meant; a head records of which backbone they are."""
    from analyze.stored_files.selection import choose_for_head, choose_one

    if stored is None:
        return choose_one(workspace, wanted)
    return choose_for_head(workspace, stored.provenance, wanted)
