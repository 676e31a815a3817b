"""Reductions of vectors: ``none``, or steps such as ``l2,pca:50,tsne:30``, left to right."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyze.threads import one_thread
from extract.errors import UsageError

EXACT_TSNE_ROWS = 5_000
"""Below, Barnes-Hut is faster than the interpolation of FIt-SNE; above, the reverse."""


FEWEST_TSNE_ROWS = 4


@dataclass(frozen=True)
class Step:
    """One step of a reduction, as typed.

    Parameters
    ----------
    method : str
        A name of :data:`REDUCTIONS`.
    parameters : mapping
    """

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Reduced:
    """Coordinates of the rows, row i belonging to ``ids[i]``.

    Parameters
    ----------
    ids : tuple of str
    coordinates : ndarray of shape (n_images, n_dims), float32
    reduction : str
        The steps as typed.
    parameters : tuple of mapping
        What was used in each step, also where it is not what was asked for.
    seed : int
    notes : tuple of str
        What had to be lowered or left out, for people.
    """

    ids: tuple[str, ...]
    coordinates: np.ndarray
    reduction: str
    parameters: tuple[Mapping[str, Any], ...]
    seed: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.coordinates.ndim != 2 or len(self.coordinates) != len(self.ids):
            raise ValueError(
                f"coordinates must have shape ({len(self.ids)}, n_dims), "
                f"got {self.coordinates.shape}"
            )
        if not np.isfinite(self.coordinates).all():
            raise ValueError(f"coordinates of {self.reduction!r} must be finite")


@dataclass(frozen=True)
class StepResult:
    """Coordinates after one step, what was used, and what has to be said."""

    coordinates: np.ndarray
    used: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Progress = Callable[[int, int], None]
"""Told of iterations done and of their total."""


@dataclass(frozen=True)
class ReductionSpec:
    """One entry of the table of reductions.

    Parameters
    ----------
    form : str
        How it is typed.
    parse : callable
        Words after the colons -> parameters; raises ValueError with what was expected.
    apply : callable
        (vectors, parameters, seed, progress) -> StepResult.
    seeded : bool
        Whether chance plays.
    """

    form: str
    parse: Callable[[Sequence[str]], dict[str, Any]]
    apply: Callable[[np.ndarray, Mapping[str, Any], int, Progress | None], StepResult]
    seeded: bool = False


def ordinary_scale(vectors: np.ndarray) -> tuple[np.ndarray, int]:
    """Divide by a power of two where squares would leave float32; exact, and often by 1.

    Returns
    -------
    scaled : ndarray
    exponent : int
        ``vectors`` is ``scaled`` times two to this power.
    """
    largest = max(float(vectors.max()), -float(vectors.min()))
    if largest == 0 or 1e-12 < largest < 1e15:
        return vectors, 0
    exponent = math.frexp(largest)[1]
    return np.ldexp(vectors, -exponent), exponent


def _no_words(words: Sequence[str]) -> dict[str, Any]:
    if words:
        raise ValueError("it takes nothing after a colon")
    return {}


def _l2(
    vectors: np.ndarray, _parameters: Mapping[str, Any], _seed: int, _progress: Progress | None
) -> StepResult:
    """Scale each row to length 1; rows of zeros have no direction and stay zero."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    zero = int((norms == 0).sum())
    scaled = (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)
    notes = (f"l2: {zero} rows of zeros have no direction and stay zero",) if zero else ()
    return StepResult(scaled, {}, notes)


def _parse_pca(words: Sequence[str]) -> dict[str, Any]:
    expected = "say pca:50 for 50 components or pca:0.99 for that share of the variance"
    if len(words) != 1:
        raise ValueError(expected)
    try:
        number = float(words[0])
    except ValueError:
        raise ValueError(expected) from None
    if number >= 1 and "." in words[0]:
        raise ValueError(f"{words[0]} could be a share or a number: {expected}")
    if 0 < number < 1:
        return {"n_components": number}
    if number >= 1 and number.is_integer():
        return {"n_components": int(number)}
    raise ValueError(expected)


def _pca(
    vectors: np.ndarray, parameters: Mapping[str, Any], seed: int, _progress: Progress | None
) -> StepResult:
    """Project on the principal components, scikit-learn's."""
    from sklearn.decomposition import PCA

    wanted, most = parameters["n_components"], min(vectors.shape)
    notes = []
    if wanted > most:
        notes.append(f"pca: {wanted} components lowered to {most}, as many as the rows allow")
        wanted = most
    scaled, exponent = ordinary_scale(vectors)
    fitted = PCA(n_components=wanted, random_state=seed)
    coordinates = np.ldexp(fitted.fit_transform(scaled), exponent).astype(np.float32)
    share = float(fitted.explained_variance_ratio_.sum())
    used = {"n_components": int(fitted.n_components_), "explained_variance": round(share, 6)}
    return StepResult(coordinates, used, tuple(notes))


def _parse_tsne(words: Sequence[str]) -> dict[str, Any]:
    expected = "say tsne, tsne:30 (perplexity) or tsne:30:random (initialization: pca or random)"
    parameters: dict[str, Any] = {"perplexity": 30.0, "initialization": "pca"}
    if len(words) > 2:
        raise ValueError(expected)
    if words:
        try:
            parameters["perplexity"] = float(words[0])
        except ValueError:
            raise ValueError(expected) from None
        if not (math.isfinite(parameters["perplexity"]) and parameters["perplexity"] >= 1):
            raise ValueError("the perplexity must be 1 or more")
    if len(words) == 2:
        if words[1] not in ("pca", "random"):
            raise ValueError(expected)
        parameters["initialization"] = words[1]
    return parameters


def _tsne(
    vectors: np.ndarray, parameters: Mapping[str, Any], seed: int, progress: Progress | None
) -> StepResult:
    """Embed in two dimensions by t-SNE (van der Maaten and Hinton 2008), openTSNE's.

    Neighbors are exact; Barnes-Hut below 5,000 rows, FIt-SNE (Linderman et al. 2019) above.
    """
    from openTSNE import TSNE

    n_rows = len(vectors)
    perplexity, notes = parameters["perplexity"], []
    if n_rows < FEWEST_TSNE_ROWS:
        return StepResult(vectors, {}, (f"tsne: {n_rows} rows are too few, it is left out",))
    most = (n_rows - 1) / 3
    if perplexity > most:
        perplexity = most
        notes.append(
            f"tsne: perplexity {parameters['perplexity']:g} lowered to {perplexity:.4g} "
            f"for {n_rows} rows"
        )
    initialization = parameters["initialization"]
    if initialization == "pca" and vectors.shape[1] < 2:
        initialization = "random"
        notes.append("tsne: one column has no second component, started at random")
    vectors, _ = ordinary_scale(vectors)
    done = 0

    def report(iteration: int, _error: float, _embedding: np.ndarray) -> None:
        nonlocal done
        done += 50
        if progress:
            progress(min(done, 750), 750)

    fitted = TSNE(
        n_components=2,
        perplexity=perplexity,
        initialization=initialization,
        neighbors="exact",
        negative_gradient_method="bh" if n_rows < EXACT_TSNE_ROWS else "fft",
        random_state=seed,
        n_jobs=1,
        callbacks=report,
        callbacks_every_iters=50,
    ).fit(vectors)
    used = {"perplexity": perplexity, "initialization": initialization}
    used["kl_divergence"] = round(float(fitted.kl_divergence), 4)
    return StepResult(np.asarray(fitted, dtype=np.float32), used, tuple(notes))


REDUCTIONS: dict[str, ReductionSpec] = {
    "l2": ReductionSpec("l2", _no_words, _l2),
    "pca": ReductionSpec("pca:50 or pca:0.99", _parse_pca, _pca, seeded=True),
    "tsne": ReductionSpec("tsne[:PERPLEXITY[:pca|random]]", _parse_tsne, _tsne, seeded=True),
}


def parse_steps(text: str) -> tuple[Step, ...]:
    """Read steps such as ``l2,pca:50,tsne``; ``none`` is no step.

    Raises
    ------
    UsageError
        With the step that cannot be read and how it is written.
    """
    if text.strip() == "none":
        return ()
    if "none" in text.split(","):
        raise UsageError(f"none stands alone, not in {text!r}")
    steps = []
    for part in text.split(","):
        method, *words = part.strip().split(":")
        if method not in REDUCTIONS:
            known = ", ".join(spec.form for spec in REDUCTIONS.values())
            raise UsageError(f"no reduction {method!r} in {text!r}: choose none, {known}")
        try:
            steps.append(Step(method, REDUCTIONS[method].parse(words)))
        except ValueError as error:
            raise UsageError(f"cannot read {part.strip()!r}: {error}") from error
    return tuple(steps)


def reduce(
    ids: tuple[str, ...],
    vectors: np.ndarray,
    reduction: str,
    seed: int = 0,
    progress: Progress | None = None,
) -> Reduced:
    """Reduce vectors in steps, left to right, on one thread so that a seed gives one result.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, n_dims), float32
        Finite; at least two different rows unless the reduction is ``none`` or ``l2``.
    reduction : str
        ``none``, or steps joined by commas.

    Raises
    ------
    UsageError
        When the steps cannot be read, or the rows are all equal and so span no space.
    """
    steps = parse_steps(reduction)
    coordinates = vectors
    used: list[Mapping[str, Any]] = []
    notes: list[str] = []
    with one_thread():
        for step in steps:
            if step.method != "l2" and not _varies(coordinates):
                raise UsageError(
                    f"all {len(coordinates)} rows are equal, {step.method} finds no direction "
                    "in them: use --reduce none"
                )
            result = REDUCTIONS[step.method].apply(coordinates, step.parameters, seed, progress)
            coordinates = result.coordinates
            used.append({"method": step.method, **result.used})
            notes += result.notes
    return Reduced(ids, coordinates, reduction, tuple(used), seed, tuple(notes))


def _varies(coordinates: np.ndarray) -> bool:
    """Say whether any two rows differ: t-SNE crashes and PCA divides by zero where none do."""
    return bool((coordinates != coordinates[0]).any())
