"""The vectors that ``analyze predict`` predicts on: stored, or of pictures embedded now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.commands import options
from extract.errors import UsageError
from extract.workspace import Workspace

if TYPE_CHECKING:
    from analyze.head.prediction.head_file import StoredHead
    from analyze.stored_files.selection import Selection


def embed_like_training_set(
    workspace: Workspace,
    stored: StoredHead,
    images: Path,
    name: str | None,
    execution: options.Execution,
    *,
    quiet: bool,
) -> list[Path]:
    """Embed a folder with the backbones that the head was trained on, into the cache."""
    from analyze.head.joined import parts_of
    from extract.backbones.kept_backbones import load_from_provenance
    from extract.backbones.partial_finetuning import tuned, untuned_identity
    from extract.catalog.source import CatalogSource
    from extract.inference.execution_config import device_for
    from extract.pipeline.embedded import nothing_embedded
    from extract.pipeline.embedding import embed_targets
    from extract.pipeline.extraction import Target
    from extract.pipeline.options import Options
    from extract.storage.catalog_roots import check_root
    from extract.storage.catalog_source import list_source

    source = CatalogSource(images=images, catalog=name)
    listed, listing = list_source(workspace, source, quiet=quiet)
    check_root(workspace, listed, None)
    targets = []
    for part in parts_of(stored.provenance):
        plain = replace(part, identity=untuned_identity(part.identity))
        backbone = load_from_provenance(
            plain,
            weights_file=execution.weights if part.weights == "file" else None,
            kept_in=workspace.cached_backbones,
        )
        if stored.stage:
            backbone = tuned(backbone, stored.stage)
        identity = backbone.provenance.short_identity
        path = workspace.embeddings_file(listed.name, backbone.name, identity)
        targets.append(Target(backbone.on(device_for(path, execution.device)), path))
    for report in embed_targets(workspace, listed, targets, Options(), quiet, listing):
        if report.holds_nothing:
            raise nothing_embedded(workspace, report)
    return [target.path for target in targets]


def files_of_all(workspace: Workspace, stored: StoredHead, wanted: Selection) -> list[Path]:
    """Find the files of a catalogue that a head on several backbones reads."""
    from analyze.head.joined import parts_of
    from analyze.stored_files.selection import Selection, up_to_date
    from extract.storage.embeddings_file import read_provenance

    catalog = wanted.catalog
    if catalog is None or wanted != Selection(catalog=catalog):
        raise UsageError(
            f"the head reads {stored.provenance.model}: say of which pictures with --catalog NAME "
            "alone, or give --images DIR"
        )
    there = {read_provenance(p).identity_sha256: p for p in workspace.stored_embeddings(catalog)}
    parts = parts_of(stored.provenance)
    for part in parts:
        if part.identity_sha256 not in there:
            raise UsageError(
                f"catalogue {catalog!r} has no vectors of {part.model} ({part.words}), "
                "which the head reads: give --images DIR, and they are embedded"
            )
    return list(up_to_date(workspace, [there[part.identity_sha256] for part in parts]))
