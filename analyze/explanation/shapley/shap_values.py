"""Questions answered by shares: pictures opened, held against a background, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.explanation.explanation import THUMBNAIL
from analyze.explanation.faithfulness import reduced
from analyze.explanation.placement import Placement, peak_of, place_of
from analyze.explanation.questions import Question
from analyze.explanation.shapley.attributions import ATTRIBUTIONS, Attribution
from analyze.explanation.targets import Target

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from analyze.explanation.explanation import Opening
    from extract.backbones.registry import Backbone

PEAK_CELLS = 14
"""A side: single pixels have no place that is worth naming."""


@dataclass(frozen=True, eq=False)
class Shares:
    """What adds to one answer and what takes from it.

    Parameters
    ----------
    question : Question
    method : str
    attribution : Attribution
    place : Placement
    thumbnail : Image
    """

    question: Question
    method: str
    attribution: Attribution
    place: Placement
    thumbnail: Image.Image

    @property
    def peak(self) -> tuple[int, int] | None:
        """Give x and y of the place that adds most; None where none adds anything."""
        cells = reduced(self.attribution.signed, PEAK_CELLS, PEAK_CELLS)
        return peak_of(cells, self.place) if cells.max() > 0 else None

    def to_json(self, target: Target, sheet: str) -> dict[str, Any]:
        """Spell it with the keys that programs read of a map."""
        made = self.attribution
        return {
            **self.question.to_json(target),
            "method": self.method,
            "value": made.value,
            "peak": None if self.peak is None else list(self.peak),
            "empty": None if made.signed.any() else "nothing adds to it or takes from it",
            "sheet": sheet,
            "background": made.base,
            "additivity_error": made.error,
        }


@dataclass(frozen=True, eq=False)
class Sampling:
    """What SHAP values are sampled from.

    Parameters
    ----------
    background : tensor of shape (n, 3, size, size), float32
        Background pictures.
    n_samples : int
        Of each picture's shares.
    seed : int
    """

    background: torch.Tensor
    n_samples: int
    seed: int


def compute_shap_values(
    backbone: Backbone,
    target: Target,
    questions: Sequence[Question],
    opened: Opening,
    method: str,
    sampling: Sampling,
    *,
    progress: Callable[[int], None] | None = None,
) -> list[Shares]:
    """Answer questions by shares; those of pictures that cannot be opened are passed over.

    Parameters
    ----------
    opened : callable
        Gives a subject's picture, upright RGB, or None.
    method : str
        Of :data:`analyze.explanation.shapley.attributions.ATTRIBUTIONS`.
    progress : callable, optional
        Called with the number that are done.
    """
    transform = backbone.preprocessing.transform()
    found = []
    for done, question in enumerate(questions, start=1):
        picture = opened(question.subject)
        if picture is not None:
            made = ATTRIBUTIONS[method].attribute(
                backbone,
                target.values,
                transform(picture),
                question.column,
                sampling.background,
                sampling.n_samples,
                sampling.seed,
            )
            place = place_of(backbone.preprocessing, *picture.size)
            thumbnail = picture.copy()
            thumbnail.thumbnail((THUMBNAIL, THUMBNAIL))
            found.append(Shares(question, method, made, place, thumbnail))
        if progress is not None:
            progress(done)
    return found


def read_background(backbone: Backbone, pictures: Sequence[Image.Image]) -> torch.Tensor:
    """Prepare pictures that answers are held against; tensor (n, 3, size, size), float32."""
    import torch

    transform = backbone.preprocessing.transform()
    return torch.stack([transform(picture) for picture in pictures])


def worth_of_features(
    values: Callable[[torch.Tensor], torch.Tensor],
    vectors: np.ndarray,
    columns: np.ndarray,
    background: np.ndarray,
    *,
    n_samples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sample what each number of the embedding adds to answers.

    Parameters
    ----------
    values : callable
        Of a target: vectors (n, n_dims), float64 -> (n, n_columns).
    vectors : ndarray of shape (n_images, n_dims)
    columns : ndarray of shape (n_images,), int
        The column of the target of each.
    background : ndarray of shape (n, n_dims)
    n_samples, seed : int

    Returns
    -------
    shares : ndarray of shape (n_images, n_dims), float64
    errors : ndarray of shape (n_images,), float64
        How far each row's sum is off, as a share of its value less that of the background.
    """
    import shap
    import torch

    from analyze.explanation.shapley.attributions import chance_kept

    shares = np.empty(vectors.shape, np.float64)
    errors = np.empty(len(vectors))
    against = torch.from_numpy(background.astype(np.float64))

    class Column(torch.nn.Module):
        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

        def forward(self, some: torch.Tensor) -> torch.Tensor:
            return values(some.double())[:, [self.column]]

    for column in np.unique(columns).tolist():
        rows = np.flatnonzero(columns == column)
        given = torch.from_numpy(vectors[rows].astype(np.float64))
        module = Column(column).eval()
        with chance_kept():
            explainer = shap.GradientExplainer(module, against)
            found = np.asarray(explainer.shap_values(given, nsamples=n_samples, rseed=seed))
        shares[rows] = found.reshape(len(rows), -1)
        with torch.no_grad():
            wanted = (module(given)[:, 0] - module(against).mean()).numpy()
        off = np.abs(shares[rows].sum(axis=1) - wanted)
        errors[rows] = np.divide(off, np.abs(wanted), out=np.zeros_like(off), where=wanted != 0)
    return shares, errors
