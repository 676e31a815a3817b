"""Shares of an answer: what each pixel, or each patch of alike pixels, adds to it or takes off.

Shapley values (Lundberg and Lee 2017): they add up to the value less that of a background, as far
as they were sampled; the error of the sum is reported with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyze.explanation.faithfulness import blurred
from extract.errors import UsageError

if TYPE_CHECKING:
    import torch

    from analyze.explanation.targets import Values
    from extract.backbones.registry import Backbone

BATCH_SIZE = 25
SEGMENTS, COMPACTNESS = 40, 10.0


@dataclass(frozen=True, eq=False)
class Attribution:
    """The shares of one picture's answer.

    Parameters
    ----------
    signed : ndarray of shape (size, size), float32
        Of what the model sees; positive speaks for the answer.
    value : float
        What is explained.
    base : float
        The same of the background.
    evaluations : int
        Pictures that the model computed.
    """

    signed: np.ndarray
    value: float
    base: float
    evaluations: int

    @property
    def error(self) -> float | None:
        """How far the shares' sum is off, as a share of value less base; None where that is 0."""
        wanted = self.value - self.base
        off = abs(float(self.signed.sum(dtype=np.float64)) - wanted)
        return off / abs(wanted) if wanted else None


@dataclass(frozen=True)
class AttributionSpec:
    """One entry of the table of methods.

    Parameters
    ----------
    title : str
        For headings.
    description : str
        One line.
    background : str
        What an answer is held against, in words.
    attribute : callable
        (backbone, values, pixels, column, background, n_samples, seed) -> Attribution.
    """

    title: str
    description: str
    background: str
    attribute: Callable[..., Attribution]


def require_shap() -> None:
    """Say in one line what to type where shap or scikit-image is missing.

    Raises
    ------
    UsageError
    """
    try:
        import shap  # noqa: F401
        import skimage.segmentation  # noqa: F401
    except ImportError as error:
        raise UsageError('--method shap needs shap: pip install -e ".[explain]"') from error


def attribute_pixels(
    backbone: Backbone,
    values: Values,
    pixels: torch.Tensor,
    column: int,
    background: torch.Tensor,
    n_samples: int,
    seed: int,
) -> Attribution:
    """Sample the shares of every pixel by expected gradients (Erion et al. 2021).

    Parameters
    ----------
    backbone : Backbone
    values : callable
        Of a target.
    pixels : tensor of shape (3, size, size), float32
    column : int
        Of the target.
    background : tensor of shape (n, 3, size, size), float32
        Pictures that the answer is held against.
    n_samples : int
        Steps from one of them towards the picture.
    seed : int
    """
    import shap

    module = _module(backbone, values, column)
    given = pixels[None].to(backbone.device)
    against = background.to(backbone.device)
    with chance_kept():
        explainer = shap.GradientExplainer(module, against, batch_size=BATCH_SIZE)
        found = np.asarray(explainer.shap_values(given, nsamples=n_samples, rseed=seed))
    signed = found.reshape(pixels.shape).sum(axis=0).astype(np.float32)
    base = float(np.mean([_value(module, each[None]) for each in against]))
    return Attribution(signed, _value(module, given), base, n_samples)


def attribute_patches(
    backbone: Backbone,
    values: Values,
    pixels: torch.Tensor,
    column: int,
    background: torch.Tensor,
    n_samples: int,
    seed: int,
) -> Attribution:
    """Reckon the shares of patches of alike pixels, each hidden by being blurred.

    Owen values over a tree of patches (shap's partition explainer); the patches are SLIC's
    (Achanta et al. 2012). ``background`` and ``seed`` have no part in it.
    """
    import shap
    import torch

    segments = segments_of(picture_of(backbone, pixels))
    hidden = blurred(pixels)
    belongs = torch.from_numpy(segments)
    module = _module(backbone, values, column)
    n_computed = 0

    def values_of(shown: np.ndarray) -> np.ndarray:
        nonlocal n_computed
        n_computed += len(shown)
        found = []
        for first in range(0, len(shown), BATCH_SIZE):
            some = torch.from_numpy(shown[first : first + BATCH_SIZE] > 0)
            kept = some[:, belongs][:, None]
            made = torch.where(kept, pixels[None], hidden[None])
            with torch.no_grad():
                found.append(module(made.to(backbone.device))[:, 0].cpu().numpy())
        return np.concatenate(found)

    n = int(segments.max()) + 1
    if n < 2:  # a picture of one color has nothing to part
        value = float(values_of(np.ones((1, 1)))[0])
        return Attribution(np.zeros(segments.shape, np.float32), value, value, n_computed)
    masker = _Patches(_tree_of(picture_of(backbone, pixels), segments))
    with chance_kept():
        explainer = shap.explainers.Partition(values_of, masker)
        explained = explainer(np.ones((1, n)), max_evals=n_samples, silent=True)
    shares = np.asarray(explained.values).reshape(n)
    sizes = np.bincount(segments.ravel(), minlength=n)
    signed = (shares / sizes)[segments].astype(np.float32)
    base = float(np.asarray(explained.base_values).reshape(-1)[0])
    return Attribution(signed, float(values_of(np.ones((1, n)))[0]), base, n_computed)


ATTRIBUTIONS: dict[str, AttributionSpec] = {
    "shap": AttributionSpec(
        "SHAP", "shares of pixels, sampled (expected gradients)", "pictures", attribute_pixels
    ),
    "superpixels": AttributionSpec(
        "Superpixel SHAP", "shares of patches, each hidden in turn", "blur", attribute_patches
    ),
}


def picture_of(backbone: Backbone, pixels: torch.Tensor) -> np.ndarray:
    """Turn what the model sees back into a picture; ndarray (size, size, 3), from 0 to 1."""
    seen = backbone.preprocessing
    shown = pixels.permute(1, 2, 0).numpy() * np.array(seen.std) + np.array(seen.mean)
    clipped: np.ndarray = np.clip(shown, 0, 1)
    return clipped


def segments_of(picture: np.ndarray) -> np.ndarray:
    """Part a picture into patches of alike pixels; ndarray (size, size), int64 from 0."""
    from skimage.segmentation import slic

    found = slic(picture, n_segments=SEGMENTS, compactness=COMPACTNESS, start_label=0)
    _, numbered = np.unique(found, return_inverse=True)
    segments: np.ndarray = numbered.reshape(found.shape).astype(np.int64)
    return segments


class _Patches:
    """Shap's way to hide features: a row of ones, of which some become zeros."""

    def __init__(self, clustering: np.ndarray) -> None:
        self.clustering = clustering
        self.shape = (1, len(clustering) + 1)

    def __call__(self, mask: np.ndarray, row: np.ndarray) -> np.ndarray:
        shown: np.ndarray = (row * mask).reshape(1, -1)
        return shown


def _tree_of(picture: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Join patches that lie near each other and look alike, two by two."""
    from scipy.cluster.hierarchy import linkage

    n, size = int(segments.max()) + 1, len(segments)
    counts = np.bincount(segments.ravel(), minlength=n)
    rows, columns = np.indices(segments.shape)
    of_pixels = [rows / size, columns / size, *np.moveaxis(picture, 2, 0)]
    means = [np.bincount(segments.ravel(), own.ravel(), minlength=n) / counts for own in of_pixels]
    joined: np.ndarray = linkage(np.stack(means, axis=1), "ward")
    return joined


def _module(backbone: Backbone, values: Values, column: int) -> Any:
    """Make pixels -> the one value that is explained, of shape (n, 1), as a module."""
    import torch

    class Column(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = backbone.model

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            vectors = self.model(pixels).cpu().double()
            return values(vectors)[:, [column]]

    return Column().eval()


def _value(module: Any, pixels: torch.Tensor) -> float:
    import torch

    with torch.no_grad():
        return float(module(pixels)[0, 0])


@contextmanager
def chance_kept() -> Iterator[None]:
    """Leave numpy's own generator as it was: shap seeds it for everybody."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
