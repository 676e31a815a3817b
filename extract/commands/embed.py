"""``python -m extract``: embed a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from extract import command_line as cl
from extract.errors import NoPictures, NothingEmbedded, UsageError
from extract.monitor import Monitor
from extract.workspace import Workspace

if TYPE_CHECKING:
    from extract.backbones import Backbone
    from extract.catalog import Catalog
    from extract.extraction import Options, Report
    from extract.manifest import ManifestColumns

COMMAND = "python -m extract"


def embed(
    context: typer.Context,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="A name of the table: python -m extract models.")
    ] = "efficientnet_lite0",
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
    ] = "image",
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
    images_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the manifest's pictures are.")
    ] = None,
    catalog: cl.CatalogOption = None,
    weights: Annotated[
        str, typer.Option(metavar="pretrained|random|FILE", help="random is drawn from --seed.")
    ] = "pretrained",
    seed: cl.SeedOption = 0,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: the file's, or 8.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Decoding threads.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most so many new pictures, in whole batches."),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Compute every row again.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try refused pictures again.")
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
    from extract.backbones import find_spec

    find_spec(model)  # a wrong name is said before anything is read
    if manifest is not None and images is not None:
        raise UsageError("--images and --manifest exclude each other: use --images-dir beside it")
    from extract.manifest import ManifestColumns, list_manifest

    if manifest is not None:
        columns = ManifestColumns(image_column, id_column, label_column, label_separator)
        listed = list_manifest(manifest, columns, images_dir=images_dir, name=catalog)
    else:
        from extract.imagefolder import FILE_NAME

        if images_dir is not None or image_column != "image":
            raise UsageError(
                "--image-column and --images-dir belong to a table: give it with --manifest CSV"
            )
        columns = ManifestColumns(FILE_NAME, id_column, label_column, label_separator)
        listed = _list_images(workspace, images, columns, catalog, quiet)
    for note in listed.notes:
        cl.log.info(note)

    from extract.extraction import Options

    options = Options(
        batch_size=batch_size,
        limit=limit,
        restart=restart,
        retry_failed=retry_failed,
        stop_at_refusal=on_bad_image == "stop",
        **({"workers": workers} if workers else {}),
    )
    report, result = _embed(workspace, listed, model, weights, seed, device, output, options, quiet)
    _end(report, result, as_json, COMMAND)


def _list_images(
    workspace: Workspace,
    images: Path | None,
    columns: ManifestColumns,
    name: str | None,
    quiet: bool,
) -> Catalog:
    """List the folder given; without one data/ if it holds pictures, else the demo."""
    from extract.catalog import list_folder
    from extract.imagefolder import list_imagefolder, refuse_columns

    own = (workspace.cache, workspace.results)
    if images is not None:
        return list_imagefolder(images, columns=columns, name=name, leave_out=own)
    if workspace.data.exists():
        with suppress(NoPictures):
            listed = list_imagefolder(workspace.data, columns=columns, name=name)
            cl.log.info(f"no pictures given: taking those in {workspace.data}")
            return listed
    refuse_columns(workspace.data, columns)
    if workspace.demo.is_dir():
        cl.log.info(f"no pictures given: taking the demo catalogue, {workspace.demo}")
    else:
        from extract.commands.demo import draw_with_progress

        cl.log.info(
            f"no pictures given and none in {workspace.data}: drawing the demo catalogue "
            f"into {workspace.demo}"
        )
        draw_with_progress(workspace.demo, seed=0, quiet=quiet)
    return list_folder(workspace.demo, name=name)


def _embed(
    workspace: Workspace,
    catalog: Catalog,
    model: str,
    weights: str,
    seed: int,
    device: str,
    output: Path | None,
    options: Options,
    quiet: bool,
) -> tuple[Report, dict[str, Any]]:
    from extract.backbones import choose_device, load_backbone
    from extract.catalog_roots import check_root, recorded_root
    from extract.extraction import extract_embeddings

    if output is not None and output.suffix != ".h5":
        raise UsageError(f"--output {output} must end in .h5")
    check_root(workspace, catalog, output)
    cl.log.debug(f"loading {model}")
    backbone = load_backbone(model, weights=weights, seed=seed, device=choose_device(device))
    identity = backbone.provenance.short_identity
    path = output or workspace.embeddings_file(catalog.name, model, identity)
    record = {
        "images_root": recorded_root(workspace, catalog),
        "catalog": catalog.name,
        "command": cl.typed_command(COMMAND),
    }
    with cl.stop_on_signals() as stop:
        monitor = ProgressBar(stop, quiet, backbone.device)
        try:
            report = extract_embeddings(
                catalog, backbone, path, options=options, record=record, monitor=monitor
            )
        finally:
            monitor.close()
    result = _result(workspace, backbone, report, catalog, weights)
    if report.stopped:
        done = report.n_images - report.to_do
        raise stop.stopped(
            f"stopped: {done} of {report.n_images} rows are finished in {result['file']}; "
            "type the same command again to go on"
        )
    return report, result


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
        "refused": dict(report.refused),
        "to_do": report.to_do,
        "images_per_second": report.images_per_second,
        "seconds": report.seconds,
        "catalog": catalog.name,
        "device": backbone.device,
        "notes": list(report.notes),
    }


def _end(report: Report, result: dict[str, Any], as_json: bool, command: str) -> None:
    """Print what was done; without a single sound row the run has failed."""
    n_refused = sum(report.refused.values())
    rate = report.images_per_second
    lines = [
        f"{result['file']}",
        f"{result['model']} ({result['weights']} weights), {report.n_images} pictures: "
        f"{report.embedded} embedded, {report.reused} reused, {n_refused} refused, "
        f"{report.to_do} to do"
        + (f"; {rate:.1f} pictures/s" if rate else "")
        + ("" if report.tried else "; nothing new"),
    ]
    if n_refused:
        reasons = ", ".join(f"{count} {code}" for code, count in report.refused.items())
        lines.append(f"refused: {reasons}; listed by {command} show {result['file']}")
    cl.print_result(as_json, result, "\n".join([*lines, *report.notes]))
    if report.embedded + report.reused == 0 and report.to_do < report.n_images:
        raise NothingEmbedded(
            f"not one of {report.n_images} pictures could be embedded: see why with "
            f"{command} show {result['file']}"
        )


class ProgressBar(Monitor):
    """Shows the run on stderr: rows that are durable, rate, time left."""

    def __init__(self, stop: cl.StopRequest, quiet: bool, device: str) -> None:
        self._stop, self._quiet, self._device = stop, quiet, device
        self._bar: Any = None

    def start(
        self, n_to_do: int, n_done: int, n_images: int, realisation: Mapping[str, Any]
    ) -> None:
        """Open the bar and say how the run computes."""
        from tqdm import tqdm

        cl.log.info(
            f"{n_to_do} pictures to embed on {self._device}, "
            f"batches of {realisation['batch_size']}, {realisation['threads']} threads, "
            f"{realisation['dtype']}"
            + (f"; {n_done} of {n_images} are there already" if n_done else "")
        )
        self._bar = tqdm(
            total=n_to_do,
            unit="picture",
            disable=True if self._quiet else None,
            dynamic_ncols=True,
        )

    def finished(self, n_rows: int) -> None:
        """Count rows that are durable."""
        self._bar.update(n_rows)

    def should_stop(self) -> bool:
        """Say whether a signal came."""
        return bool(self._stop)

    def close(self) -> None:
        """Close the bar, also when the run failed."""
        if self._bar is not None:
            self._bar.close()
