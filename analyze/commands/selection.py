"""Which embeddings file a command means."""

from __future__ import annotations

from pathlib import Path

from extract.catalog import shown
from extract.embeddings_file import read_provenance
from extract.errors import EmbeddingsFileError, UsageError
from extract.workspace import Workspace, file_name


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
    stored = {path: _head(path) for path in workspace.stored_embeddings()}
    if not stored:
        raise UsageError(f"no embeddings in {workspace.cache}: run python -m extract first")
    folder = file_name(catalog) if catalog else None
    fitting = {path: head for path, head in stored.items() if folder in (None, path.parent.name)}
    if not fitting:
        have = ", ".join(sorted({path.parent.name for path in stored}))
        raise UsageError(f"no catalogue {catalog!r} in {workspace.cache}: there are {have}")
    if model is not None:
        have = ", ".join(sorted({name for name, _ in fitting.values()}))
        fitting = {path: head for path, head in fitting.items() if head[0] == model}
        if not fitting:
            raise UsageError(f"no embeddings of {model}: there are {have}; name one with --model")
    if len(fitting) > 1:
        listed = ", ".join(
            f"{workspace.relative(path)} ({weights})" for path, (_, weights) in fitting.items()
        )
        options = "--embeddings FILE, --model NAME or --catalog NAME"
        raise UsageError(f"{len(fitting)} embeddings files, say which with {options}: {listed}")
    return next(iter(fitting))


def _head(path: Path) -> tuple[str, str]:
    """Give model and weights of a file, for choosing and listing."""
    try:
        provenance = read_provenance(path)
    except EmbeddingsFileError:
        return "an unreadable file", "unreadable"
    return shown(provenance.model), shown(provenance.weights)
