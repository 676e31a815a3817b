"""A head from Python: trained on vectors, predicting others, kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analyze.head.assessment import choose_task
from analyze.head.prediction.head_file import StoredHead, read_head, write_head
from analyze.head.prediction.predictions import ClassPredictions, Predictions, SetPredictions
from analyze.head.prediction.predictions import predict as predict_stored
from analyze.head.splitting.splits import SIDES
from analyze.head.training.head_training import train_head as train_on
from analyze.head.training.spec import HeadSpec, Plan, TrainingSpec
from analyze.head.training.training_set import hold_out
from analyze.inputs import LevelOrLabels, as_sets
from analyze.measures.levels import choose_level
from extract.errors import UsageError
from extract.storage.arrays import Vectors
from extract.storage.embeddings import EmbeddingSet, Provenance, as_embeddings, first_level
from extract.workspace import AnyPath

if TYPE_CHECKING:
    import pandas as pd


class HeadClassifier:
    """A trained head: the classes of vectors, or their labels where they have several.

    Made by :func:`train_head` and :func:`load_head`.

    Parameters
    ----------
    stored : StoredHead
        Network, classes, temperature, and the provenance of the vectors.
    notes : tuple of str
        What was left out, or is not as wanted.

    Examples
    --------
    >>> import numpy as np
    >>> from analyze import train_head
    >>> X = np.random.default_rng(0).normal(size=(20, 4)) + 4 * np.eye(2, 4)[np.repeat([0, 1], 10)]
    >>> head = train_head(X, np.repeat(["cup", "hat"], 10))
    >>> head
    HeadClassifier(2 classes of label, 4 dimensions)
    >>> head.classes_
    array(['cup', 'hat'], dtype='<U3')
    >>> head.predict([[9, 0, 0, 0], [0, 9, 0, 0]])
    array(['cup', 'hat'], dtype='<U3')
    """

    def __init__(self, stored: StoredHead, notes: tuple[str, ...] = ()) -> None:
        self.stored = stored
        self.notes = (*stored.notes, *notes)

    @property
    def classes_(self) -> np.ndarray:
        """Names of the classes; of a tree those of its last level; ndarray of str."""
        if self.stored.multilabel is not None:
            return np.array(self.stored.set_tree.spelled)
        return np.array(self.stored.classes[-1])

    def __repr__(self) -> str:
        """How many classes of which level, for vectors of how many dimensions."""
        n_dims = self.stored.head.n_dims
        words = f"{len(self.classes_)} classes of {self.stored.levels[-1]}, {n_dims} dimensions"
        return f"{type(self).__name__}({words})"

    def predict(self, vectors: EmbeddingSet | Vectors) -> np.ndarray:
        """The class of each row.

        Parameters
        ----------
        vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
            Of what the head was trained on; of an array only the dimensions can be checked.

        Returns
        -------
        ndarray of shape (n,), str; of several labels ndarray of shape (n, n_classes), bool

        Raises
        ------
        UsageError
            When the vectors are of another backbone or geometry, or of other dimensions.
        """
        found = self._predicted(vectors)
        if isinstance(found, SetPredictions):
            return found.has
        assert isinstance(found, ClassPredictions)
        answers: np.ndarray = self.classes_[found.path[-1]]
        return answers

    def predict_proba(self, vectors: EmbeddingSet | Vectors) -> np.ndarray:
        """The calibrated probability of each class.

        Parameters
        ----------
        vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)

        Returns
        -------
        ndarray of shape (n, n_classes), float64
            Columns are ``classes_``; rows add up to 1 unless a row may have several labels.

        Raises
        ------
        UsageError
            As of :meth:`predict`.
        """
        found = self._predicted(vectors)
        if isinstance(found, SetPredictions):
            return found.probabilities
        assert isinstance(found, ClassPredictions)
        return found.probabilities[-1]

    def predictions(
        self, vectors: EmbeddingSet | Vectors, *, abstain_below: float = 0.0
    ) -> pd.DataFrame:
        """A frame as ``predictions.csv`` has it: class, probability, runner-up, unlike, by row.

        Parameters
        ----------
        vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
        abstain_below : float
            Answers of a lower probability are left empty.

        Raises
        ------
        UsageError
            As of :meth:`predict`.
        """
        import pandas as pd

        header, *rows = self._predicted(vectors, abstain_below).table()
        return pd.DataFrame(rows, columns=header)

    def score(self, vectors: EmbeddingSet | Vectors, labels: LevelOrLabels = None) -> float:
        """The share of the rows with a label that are predicted right.

        It says nothing about pictures that the head was trained on: see ``assess_head``.

        Parameters
        ----------
        vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
        labels : str, or labels, optional
            A level, or labels as of :meth:`EmbeddingSet.from_arrays`; those of the set without it.

        Raises
        ------
        UsageError
            When there is no label, or a row may have several.
        """
        if self.stored.multilabel is not None:
            raise UsageError("score is of one label a row: compare predict() of several yourself")
        (given,), level = as_sets(vectors, labels)
        own = self.stored.levels[-1]
        if level is None and len(given.levels) > 1 and own not in {e.name for e in given.levels}:
            raise UsageError(f"no level {own!r}, which the head gives: name one with labels=")
        named = own if level is None and len(given.levels) > 1 else level
        wanted = None if named is None else str(named)
        chosen = choose_level(given.levels, wanted) or first_level(given, given.ids)
        truth = np.array([each if each is not None else "" for each in chosen.values()])
        known = chosen.codes >= 0
        if not known.any():
            raise UsageError("labels: no row has one")
        return float((self.predict(given) == truth)[known].mean())

    def save(self, path: AnyPath) -> None:
        """Write ``head.json`` and ``head.safetensors``, which ``analyze predict --head`` reads.

        Parameters
        ----------
        path : path
            Of the JSON file; the numbers lie next to it.

        Raises
        ------
        UsageError
            When it does not end in ``.json``, or a file is there already.
        """
        path = Path(path)
        if path.suffix != ".json":
            raise UsageError(f"a head is saved as .json and .safetensors: {path} does not end so")
        for each in (path, path.with_suffix(".safetensors")):
            if each.exists():
                raise UsageError(f"{each} is there already: give another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_head(path.parent, self.stored, path.stem)

    def _predicted(
        self, vectors: EmbeddingSet | Vectors, abstain_below: float = 0.0
    ) -> Predictions:
        given = as_embeddings(vectors)
        n_dims = self.stored.head.n_dims
        if given.vectors.shape[1] != n_dims:
            dims = f"{given.vectors.shape[1]} dimensions, and the head takes {n_dims}"
            raise UsageError(f"vectors of {dims}")
        if not isinstance(vectors, EmbeddingSet):  # nothing is known of an array
            given = _of(given, self.stored.provenance)
        return predict_stored(self.stored, given, abstain_below=abstain_below)


def _of(embeddings: EmbeddingSet, provenance: Provenance) -> EmbeddingSet:
    return EmbeddingSet(embeddings.ids, embeddings.vectors, provenance, embeddings.levels)


def train_head(
    vectors: EmbeddingSet | Vectors,
    labels: LevelOrLabels = None,
    *,
    head: HeadSpec | None = None,
    training: TrainingSpec | None = None,
    n_levels: int = 1,
    seed: int = 0,
) -> HeadClassifier:
    """A head trained on all rows that have a label; one seed gives one head.

    A quarter of the rows, copies kept together, says when to stop and how far to trust it; then
    all are trained on (``TrainingSpec(refit=False)`` leaves that out). ``assess_head`` tests such
    heads on pictures that they have not seen. The network is a multilayer perceptron of PyTorch.

    Parameters
    ----------
    vectors : EmbeddingSet, array_like or DataFrame of shape (n, n_dims)
    labels : str, or labels, optional
        Name or number of a level or of a column of several labels; or labels as of
        :meth:`EmbeddingSet.from_arrays`; the first of the set without it.
    head : HeadSpec, optional
        Width, depth and dropout.
    training : TrainingSpec, optional
        Optimizer, learning rate, epochs, patience and others.
    n_levels : int
        Levels trained together, from the one meant downwards.

    Raises
    ------
    UsageError
        When there are no labels, one class, or too few rows.

    Examples
    --------
    >>> import numpy as np
    >>> from analyze import train_head
    >>> X = np.random.default_rng(0).normal(size=(20, 4)) + 4 * np.eye(2, 4)[np.repeat([0, 1], 10)]
    >>> head = train_head(X, np.repeat(["cup", "hat"], 10))
    >>> head.predict_proba([[9, 0, 0, 0]]).round()
    array([[1., 0.]])
    """
    plan = Plan(
        n_levels=n_levels,
        head=head or HeadSpec(),
        training=training or TrainingSpec(),
        seed=seed,
    )
    if plan.training.unfreeze != "none":
        raise UsageError("a last stage is trained on pictures: type python -m analyze head")
    (given,), level = as_sets(vectors, labels)
    task = choose_task(given, None, level, plan)
    pictures = task.pictures
    split = task.splitter.all_for_training(np.arange(len(pictures.embeddings)), seed)
    training_set, _ = hold_out(pictures.features, task.targets, split)
    trained = train_on(training_set, plan.head, plan.training, seed=seed)
    sides = {
        side: [pictures.embeddings.ids[row] for row in getattr(split, side).tolist()]
        for side in SIDES
    }
    stored = StoredHead(
        head=trained.head,
        temperatures=trained.temperatures,
        provenance=given.provenance,
        vectors=trained.training_vectors(training_set),
        about={
            "weights": given.provenance.weights,
            "settings": {**vars(plan.head), **vars(plan.training)},
            "n_views": 0,
            "split": {**split.to_json(), **sides},
        },
        **task.labels_of_head(trained),
    )
    left_out = [f"{n} rows are left out: {why}" for why, n in pictures.left_out.items()]
    return HeadClassifier(stored, (*left_out, *pictures.notes, *task.notes([split], trained)))


def load_head(path: AnyPath) -> HeadClassifier:
    """The head of a file that :meth:`HeadClassifier.save` or ``analyze head`` wrote.

    Parameters
    ----------
    path : path
        Of ``head.json``; the numbers lie next to it. No pickle is loaded.

    Raises
    ------
    UsageError
        When there is no such file.
    HeadFileError
        With what is wrong with it, in one line.

    Examples
    --------
    >>> import tempfile
    >>> from analyze import load_head, train_head
    >>> X, y = [[9, 0], [9, 3], [9, 6], [0, 9], [3, 9], [-3, 9]], ["cup"] * 3 + ["hat"] * 3
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train_head(X, y).save(f"{folder}/head.json")
    ...     load_head(f"{folder}/head.json").predict([[5, 0]])
    array(['cup'], dtype='<U3')
    """
    return HeadClassifier(read_head(Path(path)))
