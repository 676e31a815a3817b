"""A transformer of scikit-learn from paths of pictures to their vectors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from extract.backbones.options import DEFAULT_MODEL
from extract.backbones.registry import Backbone, choose_device, load_backbone
from extract.catalog.catalog import Catalog
from extract.errors import PictureRefused, UsageError, WeightsError
from extract.ids import bytes_of, shown
from extract.pipeline.extraction import extract_embeddings
from extract.pipeline.options import Options
from extract.storage.embeddings_file import read_table
from extract.storage.failures import read_refusals
from extract.workspace import AnyPath

if TYPE_CHECKING:
    import pandas as pd

Paths: TypeAlias = "Sequence[AnyPath] | np.ndarray | pd.Series | pd.DataFrame"


class EmbeddingExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Vectors of pictures, by a frozen backbone: nothing is learned from them.

    Rows are computed as ``python -m extract`` does, and are not stored: a pipeline that is fitted
    often keeps them with ``Pipeline(..., memory="cache/vectors")``.

    Parameters
    ----------
    model : str
        As of ``--model``, such as ``convnext_base`` or ``timm:resnet50``.
    weights : str or path
        ``pretrained``, ``random``, or a file of this architecture's weights.
    pooling : str
        ``auto``, ``cls`` or ``mean``.
    resize : str
        ``auto``, ``model``, ``crop``, ``squash`` or ``pad``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    folder : path, optional
        What relative paths are relative to; the working directory without it.
    refused : str
        ``raise`` at a picture that cannot be read, or ``nan``: a row of NaN in its place.
    options : Options, optional
        Runtime, decoder, batch size, workers.

    Attributes
    ----------
    n_dims_ : int
        Dimensions of a vector.
    identity_sha256_ : str
        Of backbone, weights, pooling and geometry: equal ones give equal vectors.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from extract.sklearn import EmbeddingExtractor
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (8, 8), "red").save(f"{folder}/red.png")
    ...     EmbeddingExtractor(folder=folder).fit_transform(["red.png"]).shape
    (1, 1280)
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        weights: AnyPath = "pretrained",
        pooling: Literal["auto", "cls", "mean"] = "auto",
        resize: Literal["auto", "model", "crop", "squash", "pad"] = "auto",
        device: str = "auto",
        folder: AnyPath | None = None,
        refused: Literal["raise", "nan"] = "raise",
        options: Options | None = None,
    ) -> None:
        self.model = model
        self.weights = weights
        self.pooling = pooling
        self.resize = resize
        self.device = device
        self.folder = folder
        self.refused = refused
        self.options = options

    def fit(self, X: Paths, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Itself, with the backbone loaded.

        Parameters
        ----------
        X : sequence of path, or a frame of one column
        y : ignored

        Raises
        ------
        UsageError, WeightsError
            When there is no such backbone, its weights are not here, or X holds no paths.
        """
        if self.refused not in ("raise", "nan"):
            raise UsageError(f"no refused={self.refused!r}: give 'raise' or 'nan'")
        _paths(X)
        backbone = self._load()
        self.n_dims_ = backbone.n_dims
        self.identity_sha256_ = backbone.provenance.identity_sha256
        self._backbone = backbone
        return self

    def transform(self, X: Paths) -> np.ndarray:  # noqa: N803
        """The vector of each picture, in the order given.

        Parameters
        ----------
        X : sequence of path, or a frame of one column
            A path may stand several times: it is read once.

        Returns
        -------
        ndarray of shape (n, n_dims), float32

        Raises
        ------
        PictureRefused
            When a picture cannot be read, unless ``refused="nan"``.
        """
        check_is_fitted(self)
        folder = Path.cwd() if self.folder is None else Path(self.folder)
        # links are followed: the pictures that somebody names may lie anywhere
        paths = [Path(folder, path).resolve() for path in _paths(X)]
        root = Path(os.path.commonpath([path.parent for path in paths]))
        ids = [path.relative_to(root).as_posix() for path in paths]
        known = tuple(sorted(set(ids), key=bytes_of))
        catalog = Catalog("pictures", root, known, known)
        with TemporaryDirectory() as scratch:
            file = Path(scratch) / "vectors.h5"
            extract_embeddings(catalog, self._own_backbone(), file, options=self.options)
            table = read_table(file)
            if self.refused == "raise" and (refusals := read_refusals(table)):
                first = refusals[0]
                raise PictureRefused(
                    f"{shown(str(root / first['id']))} is refused: {first['code']}; leave it "
                    "out, or give refused='nan'"
                )
            sound, proven, finite = table.private_vectors()
        vectors = np.full((len(known), self.n_dims_), np.nan, np.float32)
        vectors[proven & finite] = sound
        row_of = {row_id: row for row, row_id in enumerate(known)}
        return vectors[[row_of[row_id] for row_id in ids]]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the dimensions, ``d0``, ``d1``, ...: those of ``EmbeddingSet.to_frame``."""
        check_is_fitted(self)
        return np.array([f"d{i}" for i in range(self.n_dims_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's checks may give it: one column of text."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Leave the backbone out: it is loaded where the copy is used."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_backbone"}

    def _own_backbone(self) -> Backbone:
        if not hasattr(self, "_backbone"):  # a copy by pickle
            loaded = self._load()
            if loaded.provenance.identity_sha256 != self.identity_sha256_:
                raise WeightsError(
                    f"the weights of {self.model} here are not those it was fitted with: fit again"
                )
            self._backbone = loaded
        return self._backbone

    def _load(self) -> Backbone:
        made = load_backbone(
            self.model, weights=self.weights, pooling=self.pooling, resize=self.resize
        )
        return made.on(choose_device(self.device))


def _paths(given: Any) -> list[str]:
    """Paths as text.

    Raises
    ------
    UsageError
        When there are none, or something else.
    """
    if isinstance(given, str | os.PathLike):
        raise UsageError("one path: give a list of paths")
    array = np.asarray(given, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not len(array):
        raise UsageError(f"paths of shape {array.shape}: give one column of at least one path")
    for row, path in enumerate(array):
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"row {row} is {type(path).__name__}, not a path")
    return [os.fspath(path) for path in array]
