"""The report, and the map of one's own vectors, from Python: a notebook shows both."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from analyze.measures.agreement import Clustered
from analyze.pictures.picture_folder import PictureFolder
from analyze.reduction.reduction import Reduced, as_reduced
from analyze.reporting.backbones import Backbone, MapShown
from analyze.reporting.columns import column_of_clusters, columns_of
from analyze.reporting.gathering import ReportRequest, gather_report
from analyze.reporting.messages import Language, Words
from analyze.reporting.page.thumbnails import make_thumbnails
from analyze.reporting.report import Report
from analyze.stored_files.selection import Selection, choose_files
from extract.errors import UsageError
from extract.storage.arrays import Labels, Vectors
from extract.storage.embeddings import EmbeddingSet
from extract.workspace import AnyPath, Workspace


def report(
    catalog: str | None = None,
    *,
    embeddings: AnyPath | Sequence[AnyPath] = (),
    level: str | None = None,
    language: Language = "en",
    name_column: str | None = None,
    images: AnyPath | None = None,
    root: AnyPath | None = None,
) -> Report:
    """A page of what commands stored of a catalogue; nothing is clustered or scored.

    A notebook shows the page, ``.maps`` the maps alone, ``save("page.html")`` writes it.

    Parameters
    ----------
    catalog : str, optional
        A name in ``cache/embeddings``; the only one without it.
    embeddings : path or sequence of path
        Embeddings files of one catalogue; all that it has without any.
    level : str, optional
        Name or number of the labels; those of the newest clustering without it.
    language : str
        ``en`` or ``fr``.
    name_column : str, optional
        Column of the products' names.
    images : path, optional
        The pictures, where their folder lies outside the workspace.
    root : path, optional
        The workspace; else the variable ``SOSIE_ROOT``, else the working directory.

    Raises
    ------
    UsageError
        When no file fits, several catalogues do, or a level or column is not there.

    Examples
    --------
    >>> from analyze import report
    >>> report("photos")  # doctest: +SKIP
    Without labels, 7 clusters of efficientnet_lite0 (pca:0.99,tsne, seed 0) agree with ...
    """
    if language not in ("en", "fr"):
        raise UsageError(f"no language {language!r}: choose en or fr")
    workspace = Workspace.find(root)
    given = (embeddings,) if isinstance(embeddings, str | PathLike) else tuple(embeddings)
    wanted = Selection(embeddings=tuple(map(Path, given)), catalog=catalog)
    folder = None if images is None else Path(images)
    request = ReportRequest(level, language, name_column, folder)
    return gather_report(workspace, choose_files(workspace, wanted), request)


def interactive_map(
    vectors: Reduced | EmbeddingSet | Vectors,
    by: EmbeddingSet | Labels | Clustered | None = None,
    *,
    names: Sequence[str] | None = None,
    images: AnyPath | None = None,
    language: Language = "en",
) -> Report:
    """A map to zoom, search and select in, which a notebook shows and ``save`` writes.

    Parameters
    ----------
    vectors : Reduced, EmbeddingSet, array_like or DataFrame
        Two coordinates a row, as ``reduce(e, "pca:0.99,tsne")`` gives them; of more, the two
        principal components.
    by : EmbeddingSet, labels or Clustering, optional
        What gives the colors: all labels and other columns of a set, a column or several of
        labels, or clusters. The set's own where vectors are a set.
    names : sequence of str, optional
        Of the rows; their ids without it.
    images : path, optional
        Folder in which ids are paths of pictures; those of a set are found in the workspace.
    language : str
        ``en`` or ``fr``.

    Raises
    ------
    UsageError
        When the rows do not span a plane, or colors or names are of other rows.

    Examples
    --------
    >>> from analyze import interactive_map, reduce
    >>> r = reduce([[0, 0], [1, 9], [2, 0], [9, 1]], "none")
    >>> interactive_map(r, ["cup", "cup", "hat", "hat"]).save("map.html")  # doctest: +SKIP
    [PosixPath('map.html')]
    """
    if language not in ("en", "fr"):
        raise UsageError(f"no language {language!r}: choose en or fr")
    words, reduced = Words(language), as_reduced(vectors)
    if reduced.plane is None:
        raise UsageError("no map: the rows do not span a plane")
    of_set = by if isinstance(by, EmbeddingSet) else vectors if by is None else None
    if isinstance(of_set, EmbeddingSet):
        rows = of_set
    else:
        labels = None if isinstance(by, Clustered | EmbeddingSet) else by
        rows = EmbeddingSet.from_arrays(reduced.coordinates, reduced.ids, labels)
    clusters = by if isinstance(by, Clustered) else None
    for what, ids in (("colors", rows.ids), ("clusters", clusters.ids if clusters else rows.ids)):
        if tuple(ids) != reduced.ids:
            raise UsageError(f"the {what} are of other rows than the map")
    if names is not None and len(names) != len(rows):
        raise UsageError(f"names: {len(names)} for {len(rows)} rows")
    shown = MapShown(reduced.plane.points, reduced.reduction, reduced.seed)
    backbone = Backbone(rows.provenance.name, rows, "", "", shown, None)
    columns = columns_of(
        rows.levels, [backbone], rows.levels[0] if rows.levels else None, rows, words
    )
    if clusters is not None:
        own = column_of_clusters(words("clusters"), clusters.assignments, {}, words)
        columns = (own, *columns)
    pictures = PictureFolder.of(rows, Workspace.find(), None if images is None else Path(images))
    return Report(
        catalog=rows.provenance.name,
        words=words,
        backbones=(backbone,),
        names=None if names is None else tuple(map(str, names)),
        columns=columns,
        thumbnails=make_thumbnails(pictures),
        parts=("maps",),
    )
