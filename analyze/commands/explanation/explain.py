"""``python -m analyze explain``: which places of a picture speak for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyze.commands import options
from analyze.commands.explanation.wanted import Methods, Wanted
from analyze.commands.run_folder import run_folder
from analyze.presentation import wording
from extract import command_line as cl
from extract.errors import SosieError, UsageError
from extract.stopping import ended_by_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.commands.explanation.shap_and_evaluation import Asked, Gathered, More
    from analyze.explanation.explanation import Explanation
    from analyze.explanation.questions import Question, Subject
    from analyze.explanation.targets import Target
    from analyze.head.prediction.head_file import StoredHead
    from analyze.pictures.picture_folder import PictureFolder
    from extract.storage.embeddings import EmbeddingSet

MOST_LINES = 24
LOW_COSINE = 0.999


@cl.command(
    {"ids": ("methods",), "level": ("inputs",), "seed": ("images", "execution")},
)
def explain(
    *,
    wanted: Wanted,
    methods: Methods,
    inputs: options.Inputs,
    images: options.ImagesOption = None,
    execution: options.Execution,
    output: options.Output,
) -> None:
    """Show which places of a picture speak for its class, its cluster, or its neighbor."""
    from analyze.commands.explanation import targets
    from analyze.commands.explanation.shap_and_evaluation import gather, read_boxes, settle_methods
    from analyze.pictures.picture_folder import PictureFolder
    from extract.storage.embeddings_file import read_embeddings

    more = settle_methods(
        methods.method or [],
        evaluate=methods.evaluate,
        n_samples=methods.samples,
        boxes=methods.boxes,
    )
    placed = read_boxes(methods.boxes)
    workspace = output.workspace()
    stored = targets.choose_head(workspace, wanted)
    path = targets.choose_file(workspace, stored, inputs.selection())
    vectors = read_embeddings(path)
    for text, option in (
        *((each, "--id") for each in wanted.ids or ()),
        (wanted.neighbor, "--neighbor"),
    ):
        if text is not None:  # said before a backbone is loaded
            targets.row_called(vectors, text, option)
    pictures = PictureFolder.of(vectors, workspace, images)
    with ended_by_signals("stopped; nothing is written"):
        asked, more, found, notes = _explained(
            wanted, stored, vectors, pictures, more, execution, output
        )
        gathered = gather(asked, more, placed, quiet=output.quiet)
        result = _result(workspace, path, vectors, asked.target, wanted)
        result["missing"] = _missing(asked.questions, pictures)
        of_head = stored.notes if stored else ()
        result["notes"] = [*of_head, *notes, *gathered.notes, *pictures.notes(), *_notes(found)]
        _write(workspace, found, more.maps, asked, gathered, result, output)
    output.print_result(result, _text(asked.target, gathered, result))


def _explained(
    wanted: Wanted,
    stored: StoredHead | None,
    vectors: EmbeddingSet,
    pictures: PictureFolder,
    more: More,
    execution: options.Execution,
    output: options.Output,
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
    weights = execution.weights
    backbone = load_again(
        vectors.provenance, weights_file=weights, device=choose_device(execution.device)
    )
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

    with output.progress_bar("maps") as progress:
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
    wanted: Wanted,
) -> dict[str, Any]:
    provenance = vectors.provenance
    return {
        "file": workspace.relative(path),
        **provenance.to_json(),
        "n_images": len(vectors),
        "target": target.name,
        "of": target.of,
        "head": workspace.relative(workspace.find_file(wanted.head)) if wanted.head else None,
        "seed": wanted.seed,
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
    output: options.Output,
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
        with output.progress_bar("sheets") as progress:
            names, n_pages = [], sheets.pages_needed(len(found))
            for method in methods:
                for page, sheet in enumerate(sheets.pages_of(found, method, target, subtitle)):
                    names.append(method if n_pages == 1 else f"{method}-{page + 1}")
                    figure_style.save(sheet, folder, names[-1], svg=output.svg)
                    progress(len(names), n_pages * len(methods))
                own = [f"{result['results']}/{name}.png" for name in names[-n_pages:]]
                where = [own[i // sheets.A_PAGE] for i in range(len(found))]
                result["items"] += tables.items(found, method, target, where)
        if methods:
            tables.write_arrays(folder / "maps.npz", found, methods)
        of_shares = f"{model} · orange adds, purple takes away, {unseen}"
        write_more(folder, asked, gathered, of_shares, result, svg=output.svg)
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
