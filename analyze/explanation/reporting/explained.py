"""Explanations from Python: the maps, their text, table and sheets, and a folder of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.explanation import sheets, tables
from analyze.explanation.choice import check_ids
from analyze.explanation.evaluation.measured_maps import Box
from analyze.explanation.explanation import Explanation
from analyze.explanation.reporting.files import add_answers, sheet_names, write_explanations
from analyze.explanation.reporting.gathered import Gathered, gather
from analyze.explanation.reporting.methods import ExplanationMethods, read_boxes
from analyze.explanation.reporting.request import Bar, ExplanationRequest, ask_backbone, no_bar
from analyze.explanation.reporting.result import explanations_json
from analyze.explanation.reporting.text import explanation_lines
from analyze.explanation.spec import ExplanationSpec
from analyze.head.classifier import HeadClassifier, load_head
from analyze.head.prediction.head_file import StoredHead
from analyze.pictures.picture_folder import PictureFolder
from analyze.presentation import wording
from analyze.presentation.chart import Chart
from analyze.presentation.result import Draw, Result, Table
from extract.errors import UsageError, one_of
from extract.storage.embeddings import EmbeddingSet
from extract.workspace import AnyPath, Workspace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAP_INCHES = 4.2


@dataclass(frozen=True, eq=False, repr=False)
class Explanations(Result):
    """Maps of what speaks for an answer, picture by picture.

    Parameters
    ----------
    request : ExplanationRequest
        Backbone, target, pictures and methods.
    found : sequence of Explanation
        A picture each, in the order of ``ids``.
    gathered : Gathered
        SHAP values and scores of the methods, where they were wanted.
    notes : tuple of str
    """

    request: ExplanationRequest
    found: Sequence[Explanation]
    gathered: Gathered
    notes: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The pictures that are explained."""
        return tuple(each.question.subject.id for each in self.found)

    @property
    def maps(self) -> dict[str, np.ndarray]:
        """Of each method an ndarray of shape (n_pictures, rows, columns), float32, not negative.

        At the resolution of the backbone's last feature map; what they cover of each picture is in
        ``maps.npz`` of :meth:`save`.
        """
        return {
            name: np.stack([each.maps[name] for each in self.found]) for name in self.request.maps
        }

    def to_json(self) -> dict[str, Any]:
        """Spell the explanations with the keys that programs read; sheets are of a saved folder."""
        return self._answers(".")

    def text(self) -> str:
        """Return what was explained, picture by picture, as lines for people."""
        result = self.to_json()
        lines = explanation_lines(self.request.target, self.gathered, result)
        return "\n".join([*lines, *wording.notes(result["notes"])])

    def tables(self) -> dict[str, Table]:
        """Return ``explanations``, a row for each picture and method."""
        return {"explanations": [tables.HEADER, *tables.rows(self.to_json()["items"])]}

    def figures(self) -> dict[str, Draw]:
        """Return the sheets of the maps, a dozen pictures a page."""
        made = self.request.vectors.provenance
        subtitle = f"{made.title} · bright: speaks for it, {sheets.SCALE}"

        def page(method: str, number: int) -> Draw:
            about = (self.found, method, self.request.target, subtitle)
            return lambda: [*sheets.pages_of(*about)][number]

        return {
            name: page(method, number)
            for method in self.request.maps
            for number, name in enumerate(sheet_names(method, len(self.found)))
        }

    def plot(
        self, row_id: str | None = None, method: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Axes with the map of one method on one picture.

        Parameters
        ----------
        row_id : str, optional
            One of ``ids``; the first without it.
        method : str, optional
            One of ``maps``; the first without it.
        ax : Axes, optional
            Where to draw; a new figure of pyplot without it.

        Raises
        ------
        UsageError
            When there is no such picture or map, or the map is empty.
        """
        ids, methods = self.ids, self.request.maps
        if not methods:
            raise UsageError("no maps: shares are drawn by save(folder)")
        name = methods[0] if method is None else one_of(method, methods, "map")
        chosen = self.found[0 if row_id is None else ids.index(one_of(row_id, ids, "picture"))]
        why = chosen.why_empty(name)
        if why is not None:
            raise UsageError(f"{chosen.question.subject.id}: {why}")
        lines = sheets.question_lines(chosen.question, chosen.value, self.request.target)

        def draw(axes: Any) -> None:
            axes.imshow(np.asarray(sheets.on_picture(chosen, name)))
            axes.set_axis_off()
            axes.set_title(f"{sheets.name_of(chosen.question.subject.id)} · {lines[0]}", size=9)

        def fill(figure: Any) -> Any:
            axes = figure.subplots()
            draw(axes)
            return axes

        return Chart((MAP_INCHES, MAP_INCHES), fill, draw).plot(ax)

    def save(
        self,
        folder: AnyPath,
        *,
        svg: bool = False,
        result: dict[str, Any] | None = None,
        bar: Bar = no_bar,
    ) -> None:
        """Write what the command does: sheets, tables, arrays of maps, and what was gathered.

        Parameters
        ----------
        folder : path
            Made where it is missing.
        svg : bool
            Whether figures are written as SVG too.
        result : dict, optional
            Gets items and scores, with ``results`` as the folder of the sheets.
        bar : callable, optional
            From what is counted to a context that gives the callback of progress.

        Raises
        ------
        UsageError
            When the folder holds explanations; nothing is replaced.
        """
        folder = Path(folder)
        if (folder / "explanations.csv").exists():
            raise UsageError(f"{folder / 'explanations.csv'} is there already: give another folder")
        folder.mkdir(parents=True, exist_ok=True)
        if result is None:
            result = {**self.answered(), "results": str(folder)}
        about = (self.found, self.request, self.gathered, result)
        write_explanations(folder, *about, svg=svg, bar=bar)

    def answered(self) -> dict[str, Any]:
        """Spell the request with the keys that programs read; items and scores are left empty."""
        return explanations_json(self.request, self.found, self.notes)

    def _answers(self, folder: str) -> dict[str, Any]:
        result = {**self.answered(), "results": folder}
        add_answers(result, self.found, self.request, self.gathered)
        del result["results"]
        return result


def explain(
    embeddings: EmbeddingSet,
    target: str | ExplanationSpec | None = None,
    *,
    ids: str | Sequence[str] | None = None,
    methods: str | Sequence[str] | ExplanationMethods = "gradcam",
    head: HeadClassifier | AnyPath | None = None,
    images: AnyPath | None = None,
    weights: AnyPath | None = None,
    device: str = "auto",
) -> Explanations:
    """Maps of what speaks for the class, the cluster or the neighbor of pictures.

    The backbone that made the vectors is loaded and sees the pictures again; see docs/explain.md
    for the methods (Grad-CAM, HiResCAM, LayerCAM, SHAP) and how far they can be believed.

    Parameters
    ----------
    embeddings : EmbeddingSet
        Of a file of ``python -m extract``, as ``read_embeddings`` or ``embed`` give it.
    target : str or ExplanationSpec, optional
        ``head``, ``pretrained``, ``cluster`` or ``neighbor``; or all settings of the command. The
        head where one is given, else the classifier that the weights came with.
    ids : str or sequence of str, optional
        Pictures by id; three of each class without it.
    methods : str, sequence of str, or ExplanationMethods
        Names of methods; or all settings of the command.
    head : HeadClassifier or path, optional
        What ``train_head`` or ``load_head`` gave, or a ``head.json``.
    images : path, optional
        Folder of the pictures; without it the folder they were embedded from, if it lies in the
        working directory.
    weights : path, optional
        The backbone's, where they came from a file.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    UsageError, SosieError
        When there is no such picture, or it cannot be opened, or nothing can be explained so.

    Examples
    --------
    >>> from analyze import explain
    >>> from extract import read_embeddings
    >>> e = read_embeddings("cache/embeddings/photos/efficientnet_lite0.h5")  # doctest: +SKIP
    >>> found = explain(e, "pretrained", ids="Mugs/0.jpg")  # doctest: +SKIP
    >>> found.maps["gradcam"].shape  # doctest: +SKIP
    (1, 7, 7)
    """
    if not isinstance(target, ExplanationSpec):
        target = ExplanationSpec(target or ("pretrained" if head is None else "head"))
    if ids is not None:
        target = replace(target, ids=[ids] if isinstance(ids, str) else list(ids))
    if not isinstance(methods, ExplanationMethods):
        methods = ExplanationMethods([methods] if isinstance(methods, str) else list(methods))
    if head is None:
        head = target.head
    if (head is None) == (target.target == "head"):
        hint = "give head=" if head is None else "leave head= out"
        raise UsageError(f"target {target.target!r}: {hint}, or take another target")
    if head is not None and not isinstance(head, HeadClassifier):
        head = load_head(head)
    stored = None if head is None else head.stored
    folder = None if images is None else Path(images)
    return explain_pictures(
        PictureFolder.of(embeddings, Workspace.find(), folder),
        target,
        methods,
        stored,
        weights=None if weights is None else Path(weights),
        device=device,
    )


def explain_pictures(
    pictures: PictureFolder,
    wanted: ExplanationSpec,
    methods: ExplanationMethods,
    stored: StoredHead | None,
    *,
    weights: Path | None = None,
    device: str = "auto",
    bar: Bar = no_bar,
) -> Explanations:
    """Do what :func:`explain` does, with pictures and head as they were found.

    Parameters
    ----------
    stored : StoredHead or None
        The head that is explained.
    bar : callable, optional
        From what is counted to a context that gives the callback of progress.

    Raises
    ------
    UsageError, SosieError
        As of :func:`explain`.
    """
    methods.check()
    boxes: Mapping[str, Box] = read_boxes(methods.boxes)
    pictures.embeddings.refuse_means("an explanation")
    check_ids(wanted, pictures.embeddings)  # refused before a backbone is loaded
    about = (wanted, methods, stored, pictures)
    request, found, notes = ask_backbone(*about, weights=weights, device=device, bar=bar)
    gathered = gather(request, methods, boxes, bar)
    of_head = stored.notes if stored else ()
    return Explanations(request, found, gathered, (*of_head, *notes, *gathered.notes))
