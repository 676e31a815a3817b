"""Embedding a catalogue into a workspace: pictures listed, backbones loaded, a file for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from extract.addresses import place_of
from extract.backbones.options import BackboneOptions
from extract.backbones.registry import Backbone, choose_device
from extract.catalog.catalog import Catalog
from extract.catalog.source import CatalogSource
from extract.command_line import log, typed_command
from extract.errors import SurveyStopped, UsageError
from extract.inference.execution_config import device_for
from extract.pipeline.embedded import COMMAND, Embedded, EmbeddedFile
from extract.pipeline.extraction import Report, Target, extract_together
from extract.pipeline.options import Options, Views
from extract.pipeline.progress_bar import EmbeddingBar
from extract.stopping import stop_on_signals
from extract.storage.catalog_roots import check_root, recorded_root
from extract.storage.catalog_source import list_source
from extract.storage.embeddings import EmbeddingSet
from extract.storage.embeddings_file import read_embeddings, read_provenance
from extract.storage.new_files import removing_empty_files
from extract.workspace import AnyPath, Workspace


def embed_catalog(
    workspace: Workspace,
    source: CatalogSource,
    backbones: BackboneOptions,
    options: Options,
    *,
    views: Views | None = None,
    output: Path | None = None,
    typed: Collection[str] = (),
    quiet: bool = True,
) -> Embedded:
    """Embed a catalogue; what is there already is not computed again.

    Parameters
    ----------
    views : Views, optional
        Augmented copies that are embedded too.
    output : Path, optional
        The file to write; one in the workspace's cache without it.
    typed : collection of str
        Options that are meant though they are as by default: ``image_column``, ``resize``. Else
        the file there says.

    Raises
    ------
    UsageError, CatalogError, WeightsError
        When options exclude each other, or pictures or weights are not here.
    Stopped
        When a signal ended the run.
    """
    views, chosen = views or Views(), backbones.settled()
    drawn = views.drawn_from(backbones.seed)
    _check_output(output, n_models=len(chosen.model or ()), n_views=len(drawn))
    listed, listing = list_source(workspace, source, output, typed=typed, quiet=quiet)
    for note in listed.notes:
        log.info(note)
    check_root(workspace, listed, output)
    devices = chosen.devices()
    choose_device(chosen.device)  # one that is not here is said before anything is loaded
    targets = []
    requested = "resize" in typed or "resize" in backbones.fixed
    for loaded in chosen.load(workspace.cached_backbones):
        backbone, path = _with_its_file(workspace, loaded, listed.name, output, requested=requested)
        plain = backbone.on(device_for(path, "cuda" if devices else chosen.device))
        targets.append(Target(plain, path))
        for view in drawn:
            viewed = plain.viewed(view)
            name = listed.name, backbone.name, viewed.provenance.short_identity
            targets.append(Target(viewed, workspace.views_file(*name)))
    reports = embed_targets(workspace, listed, targets, options, quiet, listing, devices=devices)
    embedded = Embedded(
        tuple(
            EmbeddedFile(workspace, listed, target.backbone, report, chosen.weights)
            for target, report in zip(targets, reports, strict=True)
        )
    )
    if drawn and any(report.embedded for report in reports):
        _show_views(workspace, listed, targets, embedded)
    return embedded


def embed(
    images: AnyPath | None = None,
    *,
    model: str | None = None,
    workspace: AnyPath | None = None,
    source: CatalogSource | None = None,
    backbones: BackboneOptions | None = None,
    options: Options | None = None,
    quiet: bool = True,
) -> EmbeddingSet:
    """Vectors of a catalogue, stored as ``python -m extract`` stores them.

    What is stored already is not computed again, and a run that is stopped continues.

    Parameters
    ----------
    images : path, optional
        A folder of pictures, or a table of them (CSV, .xlsx, parquet); without it those of the
        workspace, else the demo.
    model : str, optional
        As of ``--model``; ``efficientnet_lite0`` without it.
    workspace : path, optional
        Where ``cache/`` lies; the working directory without it.
    source : CatalogSource, optional
        In place of ``images``: columns, separators, folders.
    backbones : BackboneOptions, optional
        Weights, resize, pooling, device, seed.
    options : Options, optional
        Runtime, decoder, batch size, workers.
    quiet : bool
        Without a progress bar.

    Raises
    ------
    UsageError, CatalogError, WeightsError
        When options exclude each other, or pictures or weights are not here.
    NothingEmbedded
        When no picture could be embedded.

    Examples
    --------
    >>> import extract
    >>> extract.embed("photos", model="convnext_base")  # doctest: +SKIP
    EmbeddingSet(1050 x 1024, convnext_base pad, class of 7)
    """
    if source is None:
        path = place_of(images) if images is not None else None
        table = path is not None and path.suffix.lower() in (".csv", ".xlsx", ".parquet")
        source = CatalogSource(manifest=path) if table else CatalogSource(images=path)
    chosen = backbones or BackboneOptions()
    if model is not None:
        chosen = replace(chosen, model=[model])
    embedded = embed_catalog(
        Workspace.find(workspace), source, chosen, options or Options(), quiet=quiet
    )
    embedded.check()
    return read_embeddings(embedded.files[0].report.file)


def embed_targets(
    workspace: Workspace,
    catalog: Catalog,
    targets: Sequence[Target],
    options: Options,
    quiet: bool,
    listing: Mapping[str, Any] | None = None,
    *,
    devices: Sequence[str] = (),
) -> list[Report]:
    """Run, with a bar and an ear for signals; a run that was stopped ends here."""
    record = {
        "images_root": recorded_root(workspace, catalog),
        "catalog": catalog.name,
        "command": typed_command(COMMAND),
        **({"listing": dict(listing)} if listing else {}),
    }
    with stop_on_signals(log.warning) as stop:
        bar = EmbeddingBar(stop, quiet)
        try:
            with removing_empty_files([target.path for target in targets]):
                reports = extract_together(
                    catalog, targets, options=options, record=record, monitor=bar, devices=devices
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


def _check_output(output: Path | None, *, n_models: int, n_views: int) -> None:
    """Refuse one file for what takes several, and a name that no embeddings file has."""
    if output is None:
        return
    if n_views:
        raise UsageError("--output names one file, not those of --views too: leave it out")
    if n_models > 1:
        raise UsageError("--output names one file, not those of several models: leave it out")
    if output.suffix != ".h5":
        raise UsageError(f"--output {output} must end in .h5")


def _with_its_file(
    workspace: Workspace, backbone: Backbone, catalog: str, output: Path | None, *, requested: bool
) -> tuple[Backbone, Path]:
    """Say which file a backbone's vectors go to, and with which geometry.

    The weights' own geometry was the default once: where none is given, and there is no file of
    today's default, its file goes on growing.
    """

    def file_of(one: Backbone) -> Path:
        identity = one.provenance.short_identity
        return output or workspace.embeddings_file(catalog, one.name, identity)

    def is_there(one: Backbone) -> bool:
        path, identity = file_of(one), one.provenance.identity_sha256
        return path.exists() and read_provenance(path).identity_sha256 == identity

    own = None if requested else backbone.with_published_preprocessing()
    if own is None or is_there(backbone) or not is_there(own):
        return backbone, file_of(backbone)
    log.info(
        f"going on with {workspace.relative(file_of(own))}, with pictures prepared as the "
        f"weights came ({own.preprocessing.resize}): {typed_command(COMMAND)} --resize auto "
        "makes a file of whole pictures"
    )
    return own, file_of(own)


def _show_views(
    workspace: Workspace, catalog: Catalog, targets: Sequence[Target], embedded: Embedded
) -> None:
    """Draw some pictures next to their views, to see what the head will learn from."""
    from extract.files.results import new_run, write_json
    from extract.images.augmentation_sheet import draw_views

    first = targets[0].backbone.preprocessing
    views = list(dict.fromkeys(t.backbone.view for t in targets if t.backbone.view))
    sheet = draw_views(catalog, first, views)
    if sheet is None:
        return
    with new_run(workspace.results, "views") as (folder, final):
        sheet.save(folder / "views.png")
        write_json(folder / "run.json", {"runs": [file.to_json() for file in embedded.files]})
    log.info(f"examples of the views: {workspace.relative(final)}/views.png")
