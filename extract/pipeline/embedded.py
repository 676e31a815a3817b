"""What a run gave, file by file: as JSON, as text, and as an error where nothing was embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from extract.backbones.options import OF_ALL_MODELS
from extract.backbones.registry import Backbone
from extract.catalog.catalog import Catalog
from extract.command_line import counted, counted_pictures, log
from extract.errors import NothingEmbedded
from extract.ids import shown
from extract.inference.fidelity import Fidelity
from extract.pipeline.extraction import CropSummary, Report
from extract.workspace import Workspace

COMMAND = "python -m extract"


@dataclass(frozen=True, eq=False)
class EmbeddedFile:
    """What a run did to one file; ``weights`` are as they were requested."""

    workspace: Workspace
    catalog: Catalog
    backbone: Backbone
    report: Report
    weights: str

    @property
    def name(self) -> str:
        """The file's, as seen from the workspace."""
        return self.workspace.relative(self.report.file)

    @property
    def source_of_weights(self) -> str:
        """Where the weights came from."""
        given = self.weights not in OF_ALL_MODELS
        return self.weights if given else self.backbone.weights["source"]

    def to_json(self) -> dict[str, Any]:
        """Spell what was done with the keys that programs read."""
        backbone, report = self.backbone, self.report
        return {
            "file": self.name,
            "model": backbone.name,
            "weights": self.source_of_weights,
            "identity": backbone.provenance.short_identity,
            "n_images": report.n_images,
            "embedded": report.embedded,
            "reused": report.reused,
            "copied": report.copied,
            "refused": dict(report.refused),
            "to_do": report.to_do,
            "images_per_second": report.images_per_second,
            "seconds": report.seconds,
            "catalog": self.catalog.name,
            "device": backbone.device,
            "pooling": backbone.pooling,
            "resize": backbone.preprocessing.resize,
            "mostly_cut_off": report.seen.n_mostly_cut_off,
            "sizes_known": report.seen.n_known,
            "view": backbone.view.described() if backbone.view else None,
            "realisation": dict(report.execution_config),
            "fidelity": report.fidelity.described() if report.fidelity else None,
            "notes": [*self.catalog.notes, *report.notes],
        }

    def text(self, n_files: int = 1) -> str:
        """Spell what was done for people; the pictures went through this many files."""
        backbone, report = self.backbone, self.report
        n_refused, rate = sum(report.refused.values()), report.images_per_second
        counts = (
            f"{report.embedded} embedded, {report.reused} reused, {n_refused} refused, "
            f"{report.to_do} to do" + ("" if report.tried else "; nothing new")
        )
        if view := backbone.view:  # what is refused or renamed was reported of the plain file
            far = report.fidelity if report.fidelity and not report.fidelity.kept else None
            line = f"{self.name}: view {view.index} of {view.policy}, seed {view.seed}"
            return f"{line}; {counts}" + (f"\n{fidelity_text(far)}" if far else "")
        lines = [
            self.name,
            f"{backbone.name} ({self.source_of_weights} weights, pooling {backbone.pooling}, "
            f"resize {backbone.preprocessing.resize}), "
            f"{counted_pictures(report.n_images)}: {counts}"
            + (f"; {rate:.1f} pictures/s" if rate else "")
            + (f" through {n_files} files" if rate and n_files > 1 else ""),
        ]
        if n_refused:
            kept = report.file.exists()
            listed = f"; listed by {COMMAND} show {self.name}" if kept else ""
            lines += [f"refused: {counted(report.refused)}{listed}"]
            lines += [f"  {example}" for example in _examples(report)]
        lines.append(_seen(report.seen, report.embedded + report.reused))
        if report.fidelity:
            lines.append(fidelity_text(report.fidelity))
        return "\n".join([*lines, *report.notes])


@dataclass(frozen=True)
class Embedded:
    """What a run gave, file by file."""

    files: tuple[EmbeddedFile, ...]

    def to_json(self) -> dict[str, Any]:
        """Spell it with the keys that programs read; of several files as ``runs``."""
        runs = [file.to_json() for file in self.files]
        return runs[0] if len(runs) == 1 else {"runs": runs}

    def text(self) -> str:
        """Spell it for people."""
        return "\n".join(file.text(len(self.files)) for file in self.files)

    def check(self) -> None:
        """Log an error for each file with rows that are not what the model gives.

        Raises
        ------
        NothingEmbedded
            When a file has not a single sound row.
        """
        for file in self.files:
            report = file.report
            if report.fidelity and not report.fidelity.kept:
                # an error to the log, so that it is printed with --quiet too
                log.error(f"{file.name}: {fidelity_text(report.fidelity)}")
            if report.embedded + report.reused == 0 and report.to_do < report.n_images:
                raise nothing_embedded(file.workspace, report)


def nothing_embedded(workspace: Workspace, report: Report) -> NothingEmbedded:
    """Make the error of a run that ended without a single sound row."""
    listed = f"all are listed by {COMMAND} show {workspace.relative(report.file)}"
    return NothingEmbedded(
        f"not one of {report.n_images} pictures could be embedded: "
        f"{'; '.join(_examples(report))}; {listed if report.file.exists() else 'no file kept'}"
    )


def _examples(report: Report) -> list[str]:
    """Say of each reason for refusals which picture is one, and what is wrong with it."""
    return [
        f"{code}, as {shown(row_id)}" + (f" ({shown(message)})" if message else "")
        for code, (row_id, message) in report.examples.items()
    ]


def _seen(seen: CropSummary, n_sound: int) -> str:
    """Say how many pictures lose more than half, and what shows them whole."""
    if seen.whole:
        return f"every picture is seen whole ({seen.resize})"
    line = (
        f"{seen.n_mostly_cut_off:,} of {seen.n_known:,} pictures lose more than half of their area"
    )
    if unknown := n_sound - seen.n_known:
        line += f", of {unknown:,} that an earlier version embedded it is not known"
    return f"{seen.resize}: {line}; --resize auto shows pictures whole"


def fidelity_text(found: Fidelity) -> str:
    """Spell how near rows are to the reference path, and what to type where they are not."""
    by = "the reference path"
    if found.exported is not None:
        by = f"the exported model, itself at {found.exported:.6f} to the reference path"
    line = (
        f"{found.n_rows} rows computed again by {by}: worst cosine "
        f"{found.worst_cosine:.6f}, at least {found.floor} is required"
    )
    if found.kept:
        return line
    return (
        f"WARNING: {line}. These vectors are NOT what the model gives: compute them again with "
        "--restart --dtype fp32 --decoder fast, or --runtime eager --decoder reference"
    )
