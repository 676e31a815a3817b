"""``python -m extract``: embed a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from extract import command_line as cl
from extract.commands.embed_listing import IMAGE_COLUMN, Place, list_pictures
from extract.errors import NothingEmbedded, SurveyStopped, UsageError
from extract.stopping import stop_on_signals
from extract.workspace import Workspace

if TYPE_CHECKING:
    from extract.backbones.registry import Backbone
    from extract.catalog.catalog import Catalog
    from extract.images.augmentation import View
    from extract.inference.fidelity import Fidelity
    from extract.pipeline.extraction import Report, Seen, Target
    from extract.pipeline.options import Options
    from extract.recipe import Extracting

COMMAND = "python -m extract"
DEFAULT_MODEL = "efficientnet_lite0"


def embed(
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Of the table (python -m extract models), timm:NAME or hf:REPO; may be repeated. "
            f"Default: {DEFAULT_MODEL}.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of pictures; sub-folders are classes, metadata.csv is read."
        ),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Table of pictures, a row each.")
    ] = None,
    image_column: Annotated[
        str, typer.Option(metavar="COLUMN", help="The manifest's column of paths.")
    ] = IMAGE_COLUMN,
    id_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of unique ids.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of classes.")
    ] = None,
    label_separator: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Between the levels of a label, such as ' >> '."),
    ] = None,
    multi_label_separator: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Between labels where a picture has several: '|'."),
    ] = None,
    images_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the manifest's pictures are.")
    ] = None,
    catalog: cl.CatalogOption = None,
    weights: Annotated[
        str, typer.Option(metavar="pretrained|random|FILE", help="random is drawn from --seed.")
    ] = "pretrained",
    pooling: Annotated[
        Literal["auto", "cls", "mean"],
        typer.Option(help="auto: what the model's own classifier reads."),
    ] = "auto",
    resize: Annotated[
        Literal["auto", "model", "crop", "squash", "pad"],
        typer.Option(help="auto: whole pictures, padded with white; model: as the weights came."),
    ] = "auto",
    recipe: cl.RecipeOption = None,
    seed: cl.SeedOption = 0,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    dtype: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="auto: fp32 on a CPU, on a GPU the half precision that suits the model."),
    ] = "auto",
    runtime: Annotated[
        Literal["auto", "eager", "torch", "fused", "openvino"],
        typer.Option(
            help="What computes; eager is the reference, torch is it made fast, fused is ConvNeXt "
            "in kernels of its own on a GPU."
        ),
    ] = "auto",
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Let torch compile the model first. Default: on a GPU, for many pictures.",
        ),
    ] = None,
    decoder: Annotated[
        Literal["auto", "reference", "fast", "scaled", "gpu"],
        typer.Option(
            help="auto: gpu, which shares the pictures with the cores, or fast; scaled reads large "
            "JPEGs at a fraction of their size."
        ),
    ] = "auto",
    batch_size: Annotated[
        str, typer.Option(metavar="auto|N", help="auto: the file's, or as memory allows.")
    ] = "auto",
    workers: Annotated[
        str,
        typer.Option(metavar="auto|N", help="Decoding threads, from five on processes."),
    ] = "auto",
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most so many new pictures, in whole batches."),
    ] = None,
    views: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Augmented copies of every picture, each a file of its own, drawn from --seed.",
        ),
    ] = 0,
    view_policy: Annotated[
        str, typer.Option(metavar="NAME", help="catalog-1, or geometric-1: without light, color.")
    ] = "catalog-1",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Compute every row again.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try refused pictures again.")
    ] = False,
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Trust the bytes of every picture, not its date.")
    ] = False,
    on_bad_image: Annotated[
        Literal["skip", "stop"], typer.Option(help="What a broken picture does to the run.")
    ] = "skip",
    root: cl.RootOption = None,
    as_json: cl.JsonOption = False,
    verbose: cl.VerboseOption = 0,
    quiet: cl.QuietOption = False,
) -> None:
    """Embed a catalogue into cache/embeddings: what is there already is not computed again.

    Without --images and --manifest: data/ if it holds pictures, else the demo catalogue.
    """
    if context.invoked_subcommand:
        return
    cl.set_up(verbose, quiet)
    workspace = Workspace.find(root)
    if recipe is not None:
        fixed = _fixed_by(context, recipe)
        model, weights = [fixed.model], fixed.weights or weights
        pooling, resize = fixed.pooling or pooling, fixed.resize or resize  # type: ignore[assignment]
    models = model or [DEFAULT_MODEL]
    wanted_batch = cl.count_or_auto(batch_size, "--batch-size")
    wanted_workers = cl.count_or_auto(workers, "--workers")
    if views and output is not None:
        raise UsageError("--output names one file, not those of --views too: leave it out")
    wanted_views = _views(views, view_policy, seed)
    _check_models(models, weights, output)  # what was typed wrong is said before anything is read
    if manifest is not None and images is not None:
        raise UsageError("--images and --manifest exclude each other: use --images-dir beside it")
    if manifest is None and (images_dir is not None or image_column != IMAGE_COLUMN):
        raise UsageError(
            "--image-column and --images-dir belong to a table: give it with --manifest CSV"
        )
    place = Place(images, manifest, images_dir, catalog, output)
    listed, listing = list_pictures(context, workspace, place, quiet)
    for note in listed.notes:
        cl.log.info(note)

    from extract.backbones.registry import choose_device
    from extract.inference.execution_config import device_for
    from extract.pipeline.extraction import Target
    from extract.pipeline.options import Options
    from extract.storage.catalog_roots import check_root

    options = Options(
        batch_size=wanted_batch,
        decoder=decoder,
        dtype=dtype,
        runtime=runtime,
        compiled=compiled,
        limit=limit,
        restart=restart,
        retry_failed=retry_failed,
        rehash=rehash,
        stop_at_refusal=on_bad_image == "stop",
        workers=wanted_workers,
    )
    check_root(workspace, listed, output)
    choose_device(device)  # one that is not here is said before anything is loaded
    targets = []
    asked = cl.was_typed(context, "resize") or (recipe is not None and fixed.resize is not None)
    for loaded in _load(models, weights, seed, pooling, resize):
        backbone, path = _with_its_file(workspace, loaded, listed.name, output, asked=asked)
        plain = backbone.on(device_for(path, device))
        targets.append(Target(plain, path))
        for view in wanted_views:
            viewed = plain.viewed(view)
            name = listed.name, backbone.name, viewed.provenance.short_identity
            targets.append(Target(viewed, workspace.views_file(*name)))
    reports = embed_targets(workspace, listed, targets, options, quiet, listing)
    results = [
        _result(workspace, target.backbone, report, listed, weights)
        for target, report in zip(targets, reports, strict=True)
    ]
    if wanted_views and any(report.embedded for report in reports):
        _show_views(workspace, listed, targets, results)
    _end(workspace, reports, results, as_json)


def _views(number: int, policy: str, seed: int) -> list[View]:
    """List the views asked for.

    Raises
    ------
    UsageError
        When there is no such policy, or there are more than can be of use.
    """
    from extract.images.augmentation import MOST_VIEWS, View

    if number > MOST_VIEWS:
        raise UsageError(f"--views {number}: {MOST_VIEWS} at most")
    return [View(policy, seed, index) for index in range(1, max(number, 1) + 1)][:number]


def _show_views(
    workspace: Workspace, catalog: Catalog, targets: list[Target], results: list[dict[str, Any]]
) -> None:
    """Draw some pictures beside their views, so that one sees what the head will learn from."""
    from extract.images.augmentation_sheet import draw_views
    from extract.results import new_run, write_json

    first = targets[0].backbone.preprocessing
    views = list(dict.fromkeys(t.backbone.view for t in targets if t.backbone.view))
    sheet = draw_views(catalog, first, views)
    if sheet is None:
        return
    with new_run(workspace.results, "views") as (folder, final):
        sheet.save(folder / "views.png")
        write_json(folder / "run.json", {"runs": results})
    cl.log.info(f"examples of the views: {workspace.relative(final)}/views.png")


def _fixed_by(context: typer.Context, recipe: str) -> Extracting:
    """Read what a recipe fixes; what is fixed cannot be given beside it."""
    from extract.recipe import read_recipe

    fixed = read_recipe(recipe).extract
    cl.refuse_beside(context, recipe, [k for k, v in vars(fixed).items() if v is not None])
    return fixed


def _check_models(models: list[str], weights: str, output: Path | None) -> None:
    """Refuse names and combinations that cannot be."""
    from extract.backbones.registry import find_model

    for name in models:
        find_model(name)
    doubled = next((name for name in models if models.count(name) > 1), None)
    if doubled:
        raise UsageError(f"--model {doubled} is given twice: once is enough")
    if len(models) > 1 and output is not None:
        raise UsageError("--output names one file, not those of several models: leave it out")
    if len(models) > 1 and weights not in ("pretrained", "random"):
        raise UsageError("--weights FILE is of one model: embed each with a command of its own")
    if output is not None and output.suffix != ".h5":
        raise UsageError(f"--output {output} must end in .h5")


def _load(models: list[str], weights: str, seed: int, pooling: str, resize: str) -> list[Backbone]:
    """Build every backbone before the first picture is read, so that none is missing at the end."""
    from extract.backbones.registry import load_backbone

    backbones = []
    for name in models:
        cl.log.debug(f"loading {name}")
        backbones.append(
            load_backbone(name, weights=weights, seed=seed, pooling=pooling, resize=resize)
        )
    return backbones


def _with_its_file(
    workspace: Workspace, backbone: Backbone, catalog: str, output: Path | None, *, asked: bool
) -> tuple[Backbone, Path]:
    """Say which file a backbone's vectors go to, and with which geometry.

    The weights' own geometry was the default once: where none is asked for, and there is no file of
    today's default, its file goes on growing.
    """
    from extract.storage.embeddings_file import read_provenance

    def file_of(one: Backbone) -> Path:
        identity = one.provenance.short_identity
        return output or workspace.embeddings_file(catalog, one.name, identity)

    def is_there(one: Backbone) -> bool:
        path, identity = file_of(one), one.provenance.identity_sha256
        return path.exists() and read_provenance(path).identity_sha256 == identity

    own = None if asked else backbone.as_it_came()
    if own is None or is_there(backbone) or not is_there(own):
        return backbone, file_of(backbone)
    cl.log.info(
        f"going on with {workspace.relative(file_of(own))}, whose pictures are prepared as the "
        f"weights came ({own.preprocessing.resize}): {cl.typed_command(COMMAND)} --resize auto "
        "makes a file of whole pictures"
    )
    return own, file_of(own)


def embed_targets(
    workspace: Workspace,
    catalog: Catalog,
    targets: list[Target],
    options: Options,
    quiet: bool,
    listing: Mapping[str, Any] | None = None,
) -> list[Report]:
    """Run, with a bar and an ear for signals; a run that was stopped ends here."""
    from extract.commands.embedding_bar import EmbeddingBar
    from extract.pipeline.extraction import extract_together
    from extract.storage.catalog_roots import recorded_root
    from extract.storage.new_files import empty_ones_taken_back

    record = {
        "images_root": recorded_root(workspace, catalog),
        "catalog": catalog.name,
        "command": cl.typed_command(COMMAND),
        **({"listing": dict(listing)} if listing else {}),
    }
    with stop_on_signals(cl.log.warning) as stop:
        bar = EmbeddingBar(stop, quiet)
        try:
            with empty_ones_taken_back([target.path for target in targets]):
                reports = extract_together(
                    catalog, targets, options=options, record=record, monitor=bar
                )
        except SurveyStopped as error:
            raise stop.stopped(str(error)) from error
        finally:
            bar.close()
    if any(report.stopped for report in reports):
        done = ", ".join(
            f"{r.n_images - r.to_do} of {r.n_images} rows are finished in "
            f"{workspace.relative(r.file)}"
            for r in reports
        )
        raise stop.stopped(f"stopped: {done}; type the same command again to go on")
    return reports


def _result(
    workspace: Workspace, backbone: Backbone, report: Report, catalog: Catalog, weights: str
) -> dict[str, Any]:
    """Spell what was done with the keys that programs read."""
    return {
        "file": workspace.relative(report.file),
        "model": backbone.name,
        "weights": backbone.weights["source"] if weights in ("pretrained", "random") else weights,
        "identity": backbone.provenance.short_identity,
        "n_images": report.n_images,
        "embedded": report.embedded,
        "reused": report.reused,
        "copied": report.copied,
        "refused": dict(report.refused),
        "to_do": report.to_do,
        "images_per_second": report.images_per_second,
        "seconds": report.seconds,
        "catalog": catalog.name,
        "device": backbone.device,
        "pooling": backbone.pooling,
        "resize": backbone.preprocessing.resize,
        "mostly_cut_off": report.seen.n_mostly_cut_off,
        "sizes_known": report.seen.n_known,
        "view": backbone.view.described() if backbone.view else None,
        "realisation": dict(report.realisation),
        "fidelity": report.fidelity.described() if report.fidelity else None,
        "notes": [*catalog.notes, *report.notes],
    }


def _end(
    workspace: Workspace, reports: list[Report], results: list[dict[str, Any]], as_json: bool
) -> None:
    """Print what was done; where a file has not a single sound row the run has failed."""
    texts = [
        _text(report, result, len(results)) for report, result in zip(reports, results, strict=True)
    ]
    result = results[0] if len(results) == 1 else {"runs": results}
    cl.print_result(as_json, result, "\n".join(texts))
    for report, result in zip(reports, results, strict=True):
        if report.fidelity and not report.fidelity.kept:
            # an error to the log, so that it is said with --quiet too
            cl.log.error(f"{result['file']}: {_fidelity(report.fidelity)}")
        if report.embedded + report.reused == 0 and report.to_do < report.n_images:
            raise nothing_embedded(workspace, report)


def nothing_embedded(workspace: Workspace, report: Report) -> NothingEmbedded:
    """Make the error of a run that ended without a single sound row."""
    listed = f"all are listed by {COMMAND} show {workspace.relative(report.file)}"
    return NothingEmbedded(
        f"not one of {report.n_images} pictures could be embedded: "
        f"{'; '.join(_examples(report))}; {listed if report.file.exists() else 'no file kept'}"
    )


def _text(report: Report, result: dict[str, Any], n_models: int) -> str:
    n_refused = sum(report.refused.values())
    rate = report.images_per_second
    chosen = [f"{result['weights']} weights"]
    chosen += [f"{k} {result[k]}" for k in ("pooling", "resize")]
    counts = (
        f"{report.embedded} embedded, {report.reused} reused, {n_refused} refused, "
        f"{report.to_do} to do" + ("" if report.tried else "; nothing new")
    )
    if view := result["view"]:  # what is refused or renamed was said of the plain file
        known = report.fidelity is None or report.fidelity.kept
        said = f"{result['file']}: view {view['index']} of {view['policy']}, seed {view['seed']}"
        return f"{said}; {counts}" + ("" if known else f"\n{_fidelity(report.fidelity)}")  # type: ignore[arg-type]
    lines = [
        f"{result['file']}",
        f"{result['model']} ({', '.join(chosen)}), {report.n_images} pictures: {counts}"
        + (f"; {rate:.1f} pictures/s" if rate else "")
        + (f" through {n_models} files" if rate and n_models > 1 else ""),
    ]
    if n_refused:
        kept = report.file.exists()
        listed = f"; listed by {COMMAND} show {result['file']}" if kept else ""
        lines += [f"refused: {cl.counted(report.refused)}{listed}"]
        lines += [f"  {example}" for example in _examples(report)]
    lines.append(_seen(report.seen, report.embedded + report.reused))
    if report.fidelity:
        lines.append(_fidelity(report.fidelity))
    return "\n".join([*lines, *report.notes])


def _examples(report: Report) -> list[str]:
    """Say of each reason for refusals which picture is one, and what is wrong with it."""
    from extract.ids import shown

    return [
        f"{code}, as {shown(row_id)} ({shown(message)})"
        if message
        else f"{code}, as {shown(row_id)}"
        for code, (row_id, message) in report.examples.items()
    ]


def _seen(seen: Seen, n_sound: int) -> str:
    """Say how many pictures lose more than half, and what shows them whole."""
    if seen.whole:
        return f"every picture is seen whole ({seen.resize})"
    said = (
        f"{seen.n_mostly_cut_off:,} of {seen.n_known:,} pictures lose more than half of their area"
    )
    if unknown := n_sound - seen.n_known:
        said += f", of {unknown:,} that an earlier version embedded it is not known"
    return f"{seen.resize}: {said}; --resize auto shows pictures whole"


def _fidelity(found: Fidelity) -> str:
    said = (
        f"{found.n_rows} rows computed again by the reference path: worst cosine "
        f"{found.worst_cosine:.6f}, at least {found.floor} is asked"
    )
    if found.kept:
        return said
    return (
        f"WARNING: {said}. These vectors are NOT what the model gives: compute them anew with "
        "--restart --dtype fp32 --decoder fast, or --runtime eager --decoder reference"
    )
