"""What ``python -m analyze similar`` writes and says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract.workspace import Workspace

if TYPE_CHECKING:
    from extract.storage.embeddings import EmbeddingSet


def write(
    workspace: Workspace,
    vectors: EmbeddingSet,
    result: dict[str, Any],
    sheets: Sequence[Any],
    *,
    svg: bool,
) -> None:
    """Write the table and a sheet a query into a folder of their own."""
    from analyze.neighbors.similar_result import similar_table
    from analyze.presentation import figure_style
    from extract import results

    with run_folder(workspace, "similar", result, vectors) as folder:
        results.write_tables(folder, {"similar.csv": similar_table(result, vectors)})
        for i, sheet in enumerate(sheets, start=1):
            name = "similar" if len(sheets) == 1 else f"similar-{i}"
            figure_style.save(sheet, folder, name, svg=svg)


def text(result: dict[str, Any]) -> str:
    """Spell a result for people."""
    from extract.ids import shown
    from extract.storage.embeddings import titled

    lines = [
        result["file"],
        f"{titled(result)} · {_search(result)}",
        f"index {result['index']}: {result['index_why']}",
    ]
    for said in result["queries"]:
        lines.append(f"similar to {shown(said['query'])} (taken as {said['by']}):")
        if said["copies"]:
            lines.append(
                f"  left out, equal byte for byte: {', '.join(map(shown, said['copies']))}"
            )
        lines += [_line(hit) for hit in said["hits"]]
        if not said["hits"]:
            lines.append("  nothing: no other picture is there to be like it")
    return "\n".join([*lines, *wording.closing(result)])


def how(result: dict[str, Any]) -> str:
    """Say how hits were found and ordered, as a sheet's heading has it."""
    exact = result["index"] == "flat"
    parts = ["exact" if exact else f"{result['index']}, recall {result['recall_at_10']:.3f}"]
    if result["where"]:
        parts.append(f"inside {_inside(result)} ({result['n_searched']})")
    if result["diverse"] is not None:
        parts.append(f"diverse, weight {result['diverse']:g}")
    return " · ".join(parts)


def _search(result: dict[str, Any]) -> str:
    """Say how was searched, in what, and how the hits are ordered."""
    n_images = f"{result['n_searched']} pictures"
    if result["where"]:
        n_images = f"the {n_images} inside {_inside(result)}"
    said = f"exact search by cosine in {n_images}"
    if result["index"] != "flat":
        said = (
            f"search by cosine in {n_images}: recall@10 {result['recall_at_10_held_out']:.4f} for "
            f"new pictures, measured on {result['recall_queries']} held-out rows, "
            f"{result['recall_at_10_rows']:.4f} for products of the catalogue"
        )
    if result["diverse"] is not None:
        said += (
            f"; diverse, by maximal marginal relevance with {result['diverse']:g} of similarity, "
            f"from the {result['pool']} most similar"
        )
    return said


def _inside(result: dict[str, Any]) -> str:
    from extract.ids import shown

    return ", ".join(
        f"{shown(level)} = {' or '.join(map(shown, values))}"
        for level, values in result["where"].items()
    )


def _line(hit: dict[str, Any]) -> str:
    from extract.ids import shown

    label = next(iter(hit["labels"].values()), None)
    parts = [hit["id"], *([hit["name"]] if hit["name"] else []), *([label] if label else [])]
    line = f"{hit['rank']:>4}  {hit['similarity']:.4f}  " + "  ".join(shown(p)[:60] for p in parts)
    if hit["copy_of_query"]:
        line += "  (a copy of the query)"
    if hit["variant_of_query"]:
        line += "  (a variant of the query)"
    for key in ("copies", "variants"):
        if hit[key]:
            line += f"  ({key}: {', '.join(map(shown, hit[key]))})"
    return line
