"""Which embeddings file a command means."""

from __future__ import annotations

from pathlib import Path

from extract.embeddings_file import read_provenance
from extract.errors import EmbeddingsFileError, UsageError
from extract.workspace import Workspace


def choose_embeddings(
    workspace: Workspace, embeddings: Path | None, model: str | None, catalog: str | None
) -> Path:
    """Find the one file that is meant; never choose among several.

    Raises
    ------
    UsageError
        When none fits, or several do; the message lists them.
    """
    if embeddings is not None:
        return embeddings if embeddings.exists() else workspace.root / embeddings
    stored = workspace.stored_embeddings(catalog)
    if not stored:
        of = f" of catalogue {catalog!r}" if catalog else ""
        raise UsageError(f"no embeddings{of} in {workspace.cache}: run python -m extract first")
    fitting = [path for path in stored if model is None or _model_of(path) == model]
    if not fitting:
        have = ", ".join(sorted({_model_of(path) for path in stored}))
        raise UsageError(
            f"no embeddings of {model}: there are {have}; run python -m extract --model {model}"
        )
    if len(fitting) > 1:
        listed = ", ".join(workspace.relative(path) for path in fitting)
        options = "--model NAME, --catalog NAME or --embeddings FILE"
        raise UsageError(f"{len(fitting)} embeddings files, say which with {options}: {listed}")
    return fitting[0]


def _model_of(path: Path) -> str:
    try:
        return read_provenance(path).model
    except EmbeddingsFileError:
        return "an unreadable file"
