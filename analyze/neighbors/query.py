"""Queries: a row of the catalogue, or a new picture embedded as the rows were."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from analyze.pictures.duplicates import Fingerprint, fingerprint
from analyze.pictures.picture_folder import PictureFolder
from extract.errors import PictureRefused, UsageError
from extract.ids import shown
from extract.images.decoding import decode_picture
from extract.images.reading import read_picture
from extract.refusals import Refused
from extract.storage.embeddings import EmbeddingSet

if TYPE_CHECKING:
    from extract.backbones.registry import Backbone
    from extract.inference.forward_pass import PictureEmbedder

MOST_COMPARED = 100_000
"""Ids that are held against a wrong one."""

WAYS = ("decoder", "dtype", "runtime", "device")
"""Parts of an execution config in which a query may differ from the rows."""


@dataclass(frozen=True, eq=False)
class Query:
    """A query of a search: a row of the catalogue, or a new picture.

    Parameters
    ----------
    text : str
        As it was typed.
    vector : ndarray of shape (n_dims,), float32
    row : int or None
        None for a new picture, of which nothing is left out.
    picture : Image or None
        The new picture, for people.
    content_sha256 : bytes or None
        Of the new picture's file.
    fingerprint : Fingerprint or None
        Of the new picture.
    """

    text: str
    vector: np.ndarray
    row: int | None = None
    picture: Image.Image | None = None
    content_sha256: bytes | None = None
    fingerprint: Fingerprint | None = None


def query_by_id(embeddings: EmbeddingSet, row_id: str) -> Query | None:
    """Find a row by its id; None where there is none of that id.

    Raises
    ------
    UsageError
        When its vector is all zeros and so has no direction.
    """
    if row_id not in embeddings.ids:
        return None
    row = embeddings.ids.index(row_id)
    vector = embeddings.vectors[row]
    if not vector.any():
        raise UsageError(f"the vector of {row_id!r} is all zeros: nothing is similar to it")
    return Query(row_id, vector, row)


def query_by_picture(
    path: Path,
    backbone: Backbone,
    text: str | None = None,
    execution_configs: Sequence[Mapping[str, Any]] = (),
) -> Query:
    """Embed a new picture by the path that the file's rows took, as far as it can be had here.

    Parameters
    ----------
    path : Path
    backbone : Backbone
        The file's own (:func:`extract.backbones.kept_backbones.load_from_provenance`).
    execution_configs : sequence of mapping
        The file's; without them the reference path is taken.
    text : str, optional
        As it was typed; the path without it.

    Raises
    ------
    PictureRefused
        When the picture cannot be read, with the reason.
    """
    embedder = embedder_for(backbone, execution_configs)
    real = path.resolve()
    with _refusing_picture(path):
        file = read_picture(real.parent, real.name)
        picture = decode_picture(file.content)
        vector = embedder.embed(file.content)
    if not vector.any():
        raise UsageError(f"the vector of {shown(str(path))} is all zeros: nothing is similar to it")
    return Query(text or str(path), vector, None, picture, file.sha256, fingerprint(picture))


def query_by_content(path: Path, embeddings: EmbeddingSet, text: str) -> Query | None:
    """Give a picture that was embedded already its row's vector, which needs no backbone.

    Parameters
    ----------
    path : Path
    embeddings : EmbeddingSet
    text : str
        As it was typed.

    Returns
    -------
    Query or None
        None where no row is of a picture of these bytes, and no other.

    Raises
    ------
    PictureRefused
        When the picture cannot be read, with the reason.
    """
    hashes = embeddings.content_sha256
    if hashes is None or embeddings.n_pictures is not None or embeddings.provenance.is_augmented:
        return None
    with _refusing_picture(path):
        real = path.resolve()
        file = read_picture(real.parent, real.name)
        same = np.flatnonzero((hashes == np.frombuffer(file.sha256, np.uint8)).all(axis=1))
        same = same[embeddings.vectors[same].any(axis=1)]
        if len(same) == 0:
            return None
        picture = decode_picture(file.content)
    vector = embeddings.vectors[same[0]]
    return Query(text, vector, None, picture, file.sha256, fingerprint(picture))


@contextmanager
def _refusing_picture(path: Path) -> Iterator[None]:
    """Name the picture that is refused, and what to do about it."""
    try:
        yield
    except Refused as refused:
        raise PictureRefused(
            f"{shown(str(path))} is refused: {refused.reason.code} ({shown(refused.message)}); "
            "give another picture with --query"
        ) from refused


def embedder_for(
    backbone: Backbone, execution_configs: Sequence[Mapping[str, Any]] = ()
) -> PictureEmbedder:
    """Make ready to embed new pictures as a file's rows were, as far as it can be had here.

    Raises
    ------
    UsageError
        When the file holds augmented views: no picture as it is can be compared with them.
    """
    from extract.inference.execution_config import available_execution_config
    from extract.inference.forward_pass import PictureEmbedder

    if backbone.view is not None:
        raise UsageError(
            "the file holds augmented views, not pictures as they are: use the file one folder up"
        )
    return PictureEmbedder(backbone, available_execution_config(backbone, execution_configs))


def other_reading(picture: Image.Image, embeddings: EmbeddingSet) -> str | None:
    """Return a note where a query's picture is read otherwise than the file's pictures were.

    Parameters
    ----------
    picture : Image
        Decoded here.
    embeddings : EmbeddingSet

    Returns
    -------
    str or None
        None where both are read alike.
    """
    from extract.images.decoding import HOW_READ

    made = embeddings.provenance
    if picture.info.get(HOW_READ) is None or made.names_readings or not made.execution_configs:
        return None
    return (
        "the query's color profile (or depth) was applied, those of the file's pictures were not, "
        "as an earlier version made it; python -m extract with its options computes such rows again"
    )


def differing_execution_config(
    embeddings: EmbeddingSet, backbone: Backbone, pictures: PictureFolder
) -> str | None:
    """Return a note where the file's rows were computed otherwise than a query here.

    Up to 16 rows are computed again from their pictures, and the note has the worst cosine.

    Returns
    -------
    str or None
        None when they were computed in the same way.
    """
    from extract.inference.execution_config import (
        WAYS_OF_DECODING,
        available_execution_config,
        requested_decoder,
    )
    from extract.inference.fidelity import MOST_RECOMPUTED, cosines

    stored = embeddings.provenance.execution_configs
    here = available_execution_config(backbone, stored)
    left = WAYS_OF_DECODING[here["decoder"]]  # what its decoder leaves, a query leaves it too
    comparable = [
        {**r, "decoder": here["decoder"] if way in left else requested_decoder(r)}
        for r in stored
        for way in [(r.get("decoder", "reference"), r.get("resize", "pillow"))]
    ]
    ways = {tuple((way, r.get(way)) for way in WAYS if r.get(way) != here[way]) for r in comparable}
    if not any(ways):
        return None
    other = dict(next(way for way in sorted(ways, key=str) if way))
    differences = ", ".join(f"{way} {value} (here {here[way]})" for way, value in other.items())
    known = np.flatnonzero(embeddings.vectors.any(axis=1))  # zeros have no cosine
    drawn = np.random.default_rng(0).permutation(known)[:MOST_RECOMPUTED]
    opened = {int(row): pictures.open(int(row)) for row in drawn}
    again = {row: picture for row, picture in opened.items() if picture is not None}
    if not again:
        return (
            f"the file's rows were computed otherwise: {differences}; none could be computed again"
        )
    worst = cosines(
        embeddings.vectors[list(again)], backbone.embed_pictures(list(again.values()))
    ).min()
    return (
        f"the file's rows were computed otherwise: {differences}; {len(again)} computed again "
        f"agree to cosine {worst:.6f} or better"
    )


def read_queries(
    vectors: EmbeddingSet,
    texts: Sequence[str],
    pictures: PictureFolder,
    weights: Path | None = None,
    kept_in: Path | None = None,
) -> tuple[list[Query], list[str]]:
    """Take each text as an id, else as the file of a picture, known by its bytes or new.

    Parameters
    ----------
    vectors : EmbeddingSet
    texts : sequence of str
    pictures : PictureFolder
        Of the file: some are embedded again where it was computed otherwise than here.
    weights : Path, optional
        Of the backbone, where the file's came from a file.
    kept_in : Path, optional
        As of :func:`extract.backbones.kept_backbones.load_kept`.

    Returns
    -------
    queries : list of Query
    notes : list of str

    Raises
    ------
    UsageError
        When a text is neither; the message lists ids like it.
    PictureRefused
        When a picture cannot be read.
    """
    from extract.backbones.kept_backbones import load_from_provenance

    queries, notes, backbone = [], [], None
    for text in texts:
        found = query_by_id(vectors, text)
        if found is None:
            if not _is_there(text):
                raise _nothing_called(text, vectors)
            known = query_by_content(Path(text), vectors, text)
            if known is not None:
                queries.append(known)
                continue
            if backbone is None:
                backbone = load_from_provenance(
                    vectors.provenance, weights_file=weights, kept_in=kept_in
                )
                other = differing_execution_config(vectors, backbone, pictures)
                notes += [other] if other else []
            execution_configs = vectors.provenance.execution_configs
            found = query_by_picture(Path(text), backbone, text, execution_configs)
            otherwise = found.picture and other_reading(found.picture, vectors)
            notes += [otherwise] if otherwise else []
        elif _is_there(text) and Path(text).is_file():
            notes.append(f"{text} is an id and a file too: taken as the id")
        queries.append(found)
    return queries, notes


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # longer than a file's name may be, or behind a closed folder
        return False


def _nothing_called(text: str, vectors: EmbeddingSet) -> UsageError:
    near = difflib.get_close_matches(text, vectors.ids[:MOST_COMPARED], n=3, cutoff=0.6)
    near = near or list(vectors.ids[:2])
    return UsageError(
        f"no id and no file {text!r}: ids are such as {', '.join(map(shown, near))}; "
        "give one, or a picture, with --query"
    )
