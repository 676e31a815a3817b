"""``python -m analyze explain``: which places of a picture speak for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyze.commands import options
from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract import command_line as cl
from extract.errors import SosieError, UsageError
from extract.stopping import ended_by_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.commands.explanation.shap_and_evaluation import Asked, Gathered, More
    from analyze.commands.explanation.targets import Wanted
    from analyze.explanation.explanation import Explanation
    from analyze.explanation.questions import Question, Subject
    from analyze.explanation.targets import Target
    from analyze.head.prediction.head_file import StoredHead
    from analyze.pictures.picture_folder import PictureFolder
    from extract.storage.embeddings import EmbeddingSet

MOST_LINES = 24
LOW_COSINE = 0.999


def explain(
    target: Annotated[
        str,
        typer.Option(metavar="NAME", help="head, pretrained, cluster or neighbor."),
    ] = "head",
    head: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The head.json of analyze head.")
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME|N", help="Why this one? Default: the answer."),
    ] = None,
    of: Annotated[
        str | None, typer.Option(metavar="NAME", help="logit (default) or probability.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="gradcam, hirescam, layercam, shap or superpixels; may be repeated.",
        ),
    ] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Score the methods: are the maps to be believed?")
    ] = False,
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="id, left, top, right, bottom: where things are."),
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", min=10, help="Of each picture's shares (shap).")
    ] = 200,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="A picture; may be repeated.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A new picture; may be repeated.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Of each class; 3 where no picture is named."),
    ] = None,
    worst: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="The worst mistakes about held-out pictures."),
    ] = None,
    neighbor: Annotated[
        str | None, typer.Option(metavar="ID", help="Held against it; default the nearest.")
    ] = None,
    clusters: options.ClustersOption = None,
    embeddings: options.EmbeddingsOption = None,
    model: options.ModelOption = None,
    catalog: cl.CatalogOption = None,
    resize: options.ResizeOption = None,
    pooling: options.PoolingOption = None,
    level: options.LevelOption = None,
    images: options.ImagesOption = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the backbone's came from a file.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    seed: cl.SeedOption = 0,
    svg: options.SvgOption = False,
    root: cl.RootOption = None,
    as_json: cl.JsonOption = False,
    verbose: cl.VerboseOption = 0,
    quiet: cl.QuietOption = False,
) -> None:
    """Show which places of a picture speak for its class, its cluster, or its neighbor."""
    cl.set_up(verbose, quiet)
    from analyze.commands.explanation import targets
    from analyze.commands.explanation.shap_and_evaluation import gather, read_boxes, settle_methods
    from analyze.commands.selection.selection import Selection
    from analyze.explanation.targets import check_of
    from analyze.pictures.picture_folder import PictureFolder
    from extract.storage.embeddings_file import read_embeddings

    more = settle_methods(method or [], evaluate=evaluate, n_samples=samples, boxes=boxes)
    placed = read_boxes(boxes)
    wanted = targets.Wanted(
        target,
        check_of(target, of),
        class_name,
        tuple(ids or ()),
        tuple(image or ()),
        sample,
        worst,
        neighbor,
        level,
        clusters,
        seed,
    )
    workspace = Workspace.find(root)
    stored = targets.choose_head(workspace, wanted, head)
    chosen = Selection.of(embeddings, model, catalog, resize, pooling)
    path = targets.choose_file(workspace, stored, chosen)
    vectors = read_embeddings(path)
    for text, option in (*((each, "--id") for each in ids or ()), (neighbor, "--neighbor")):
        if text is not None:  # said before a backbone is loaded
            targets.row_called(vectors, text, option)
    pictures = PictureFolder.of(vectors, workspace, images)
    with ended_by_signals("stopped; nothing is written"):
        asked, more, found, notes = _explained(
            wanted, stored, vectors, pictures, more, weights, device, quiet
        )
        gathered = gather(asked, more, placed, quiet=quiet)
        result = _result(workspace, path, vectors, asked.target, head, seed)
        result["missing"] = _missing(asked.questions, pictures)
        of_head = stored.notes if stored else ()
        result["notes"] = [*of_head, *notes, *gathered.notes, *pictures.notes(), *_notes(found)]
        _write(workspace, found, more.maps, asked, gathered, result, svg=svg, quiet=quiet)
    cl.print_result(as_json, result, _text(asked.target, gathered, result))


def _explained(
    wanted: Wanted,
    stored: StoredHead | None,
    vectors: EmbeddingSet,
    pictures: PictureFolder,
    more: More,
    weights: Path | None,
    device: str,
    quiet: bool,
) -> tuple[Asked, More, list[Explanation], list[str]]:
    """Load the backbone, choose pictures, and draw their maps."""
    from analyze.commands.explanation import targets
    from analyze.commands.explanation.shap_and_evaluation import Asked
    from analyze.explanation.explanation import explain as draw_maps
    from analyze.explanation.feature_taps import tap_of
    from analyze.explanation.saliency_maps import check_methods
    from analyze.head.prediction.head_file import check_identity
    from extract.backbones.registry import choose_device, load_again
    from extract.machine.allocation import keep_freed_memory

    if stored is not None:
        check_identity(stored, vectors.provenance)
    keep_freed_memory()
    backbone = load_again(vectors.provenance, weights_file=weights, device=choose_device(device))
    if backbone.view is not None:
        raise UsageError(
            "the file holds augmented views, not pictures as they are: ask the file one folder up"
        )
    tap = tap_of(backbone)
    if more.usual and tap.directions_alone:
        more = replace(more, maps=tuple(name for name in more.maps if name != "hirescam"))
    check_methods(more.maps, tap, backbone.name)
    truth = targets.truth_of(wanted, stored, vectors)
    target = targets.make_target(wanted, stored, backbone, vectors, truth, weights)
    subjects, notes = targets.choose_subjects(wanted, vectors, truth, target, stored, backbone)
    if not subjects:
        raise SosieError(
            f"nothing is explained: {'; '.join(notes)}; choose pictures with --id ID, --image FILE "
            "or --sample N"
        )
    target, questions, said = targets.ask_all(wanted, vectors, truth, subjects, target)

    def opened(subject: Subject) -> Any:
        return subject.picture if subject.row is None else pictures.open(subject.row)

    with cl.progress_bar("maps", quiet=quiet) as progress:
        found = draw_maps(
            backbone, tap, target, questions, opened, methods=more.maps, progress=progress
        )
    if not found:
        why = "; ".join(pictures.notes()) or "no picture was chosen"
        raise SosieError(f"nothing is explained: {why}; say where they are with --images DIR")
    followed = target
    if target.of == "logit":
        wanted = replace(wanted, of="probability")
        followed = targets.make_target(wanted, stored, backbone, vectors, truth, weights) or target
    context = (backbone, tap, target, followed, vectors, questions, opened, pictures, wanted.seed)
    return Asked(*context), more, found, [*notes, *said]


def _missing(questions: Sequence[Question], pictures: PictureFolder) -> list[dict[str, str]]:
    """List the pictures that were asked for and could not be opened, with the reason."""
    rows = dict.fromkeys(q.subject.row for q in questions if q.subject.row is not None)
    ids, missed = pictures.embeddings.ids, pictures.missed
    return [{"id": ids[row], "reason": missed[row]} for row in rows if row in missed]


def _notes(found: Sequence[Explanation]) -> list[str]:
    lowest = min(each.cosine for each in found)
    if lowest >= LOW_COSINE:
        return []
    return [
        f"vectors computed here agree with the file's to cosine {lowest:.4f} at worst: the file's "
        "were computed otherwise"
    ]


def _result(
    workspace: Workspace,
    path: Path,
    vectors: EmbeddingSet,
    target: Target,
    head: Path | None,
    seed: int,
) -> dict[str, Any]:
    provenance = vectors.provenance
    return {
        "file": workspace.relative(path),
        **provenance.to_json(),
        "n_images": len(vectors),
        "target": target.name,
        "of": target.of,
        "head": workspace.relative(workspace.find_file(head)) if head else None,
        "seed": seed,
        "items": [],
        "evaluation": [],
    }


def _write(
    workspace: Workspace,
    found: Sequence[Explanation],
    methods: Sequence[str],
    asked: Asked,
    gathered: Gathered,
    result: dict[str, Any],
    *,
    svg: bool,
    quiet: bool,
) -> None:
    """Write sheets, table and arrays into a folder of their own."""
    from analyze.commands.explanation.output import write_more
    from analyze.explanation import sheets, tables
    from analyze.presentation import figure_style
    from extract import results

    made, target = asked.vectors.provenance, asked.target
    model = made.title
    unseen = "each map on its own scale · gray: not seen by the model"
    subtitle = f"{model} · bright: speaks for it, {unseen}"
    with run_folder(workspace, "explain", result, asked.vectors) as folder:
        with cl.progress_bar("sheets", quiet=quiet) as progress:
            names, n_pages = [], sheets.pages_needed(len(found))
            for method in methods:
                for page, sheet in enumerate(sheets.pages_of(found, method, target, subtitle)):
                    names.append(method if n_pages == 1 else f"{method}-{page + 1}")
                    figure_style.save(sheet, folder, names[-1], svg=svg)
                    progress(len(names), n_pages * len(methods))
                own = [f"{result['results']}/{name}.png" for name in names[-n_pages:]]
                where = [own[i // sheets.A_PAGE] for i in range(len(found))]
                result["items"] += tables.items(found, method, target, where)
        if methods:
            tables.write_arrays(folder / "maps.npz", found, methods)
        of_shares = f"{model} · orange adds, purple takes away, {unseen}"
        write_more(folder, asked, gathered, of_shares, result, svg=svg)
        results.write_csv(folder / "explanations.csv", tables.HEADER, tables.rows(result["items"]))


def _text(target: Target, gathered: Gathered, result: dict[str, Any]) -> str:
    from analyze.commands.explanation.output import more_lines
    from analyze.explanation.sheets import title_of
    from extract.ids import shown
    from extract.storage.embeddings import titled

    lines = [
        result["file"],
        f"{titled(result)} · {title_of(target)}",
        *map(_line, result["items"][:MOST_LINES]),
    ]
    if len(result["items"]) > MOST_LINES:
        lines.append(f"and {len(result['items']) - MOST_LINES} more in explanations.csv")
    empty = sum(item["empty"] is not None for item in result["items"])
    if empty:
        lines.append(f"{empty} of {len(result['items'])} maps are empty, and not drawn")
    lines += more_lines(gathered)
    lines += [f"not explained: {shown(each['id'])}, {each['reason']}" for each in result["missing"]]
    return "\n".join([*lines, *wording.closing(result)])


def _line(item: dict[str, Any]) -> str:
    from extract.ids import shown

    parts = [f"{shown(item['id'])}: {item['asked']}"]
    if item["probability"] is not None:
        parts[0] += f" {item['probability']:.2f}"
    else:
        parts[0] += f" {item['value']:.3f}"
    if item["threshold"] is not None:
        parts[0] += f" (threshold {item['threshold']:.2f})"
        parts.append(f"predicted {', '.join(item['predicted_labels']) or 'no label'}")
    elif item["predicted"] not in (None, item["asked"]):
        parts.append(f"predicted {item['predicted']}")
    if item["held_out_predicted"] is not None:
        parts.append(f"held out {', '.join(item['held_out_predicted']) or 'no label'}")
    if item["true"] is not None:
        parts.append(f"true {shown(item['true'])}")
    where = item["empty"] or "highest at x {}, y {}".format(*item["peak"])
    return "  ".join([*parts, where])
