"""A trained head as two files: its numbers as safetensors, what they mean as JSON."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from analyze.head.prediction.set_tree import SetTree
from analyze.head.training.inputs import Scaling
from analyze.head.training.network import Head, build_network
from analyze.head.training.spec import HeadSpec
from analyze.neighbors.novelty import TrainingVectors
from extract.errors import HeadFileError, UsageError, of_later_format
from extract.files.strict_json import CHECK_SUM, read_json, with_check_sum, without_check_sum
from extract.ids import shown
from extract.storage.embeddings import Provenance, canonical_json

FORMAT, VERSION = "sosie-head", 1
MULTI_LABEL, MULTI_LABEL_VERSION = "multi-label", 2
"""A kind that version 1 does not know: it would take sigmoids for a softmax."""

NEWEST = 3
"""Of heads of any kind that hold their training vectors, which earlier versions do not know."""

UNPROVEN = (
    "the head is of an earlier version, its head.json has no check sum: nothing proves classes "
    "and temperature; train it again for one that has"
)

MEAN, FACTOR, STAGE = "scaling.mean", "scaling.factor", "stage."
VECTORS, UNLIKE_ABOVE = "training_vectors", "unlike_above"
MOST_JSON, MOST_TENSORS = 64 << 20, 4 << 30
MOST_WIDTH, MOST_DEPTH = 65_536, 64
"""Beyond them a file is no head's, and building one would only fill the memory."""


@dataclass(frozen=True)
class MultilabelOutput:
    """Thresholds of a multilabel head, and its separator of labels.

    Parameters
    ----------
    thresholds : tuple of float
        The probability of each class from which on it is predicted.
    separator : str
        What stands between the labels of a picture.
    """

    thresholds: tuple[float, ...]
    separator: str

    def __post_init__(self) -> None:
        if not self.separator:
            raise ValueError("a separator must not be empty")
        if not all(0 < each < 1 for each in self.thresholds):
            raise ValueError(f"thresholds must lie between 0 and 1: {self.thresholds[:3]}")


@dataclass(frozen=True, eq=False)
class StoredHead:
    """A head with all that is needed to use it.

    Parameters
    ----------
    classes : tuple of tuple of str
        Of each level, in the order of its logits; of several labels those of all levels are one
        output.
    temperatures : tuple of float
        Of each output: its logits are divided by it before they become probabilities.
    provenance : Provenance
        Of the vectors it was trained on; other vectors are refused.
    about : mapping
        Split, metrics, settings: for people, not used.
    parents : tuple of ndarray of int
        Of every level but the first: the place of each class's parent among those above.
    stage : mapping of str to ndarray
        The backbone's last stage where it was trained with the head, else empty.
    multilabel : MultilabelOutput or None
        Where a picture may have any number of the classes; None where it has one.
    vectors : TrainingVectors or None
        To tell what is unlike them; a head of an earlier version has none.
    notes : tuple of str
        Notes on the files it was read from.
    """

    head: Head
    classes: tuple[tuple[str, ...], ...]
    levels: tuple[str, ...]
    temperatures: tuple[float, ...]
    provenance: Provenance
    about: Mapping[str, Any]
    parents: tuple[np.ndarray, ...] = ()
    stage: Mapping[str, np.ndarray] = field(default_factory=dict)
    multilabel: MultilabelOutput | None = None
    vectors: TrainingVectors | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.classes) == len(self.levels) >= 1:
            raise ValueError("a head must have classes for each of its levels")
        outputs = output_sizes(self.classes, self.multilabel)
        different = all(len(set(names)) == len(names) for names in self.classes)
        if not different or [len(codes) for codes in self.head.classes] != outputs:
            raise ValueError("a level must have as many different classes as logits")
        if len(self.temperatures) != len(outputs) or not all(
            np.isfinite(each) and each > 0 for each in self.temperatures
        ):
            raise ValueError(f"a level must have a temperature above 0: {self.temperatures}")
        if self.multilabel is not None and [len(self.multilabel.thresholds)] != outputs:
            raise ValueError("a head of several labels must have a threshold for each class")
        if len(self.parents) != len(self.levels) - 1:
            raise ValueError("each level but the first must have its classes' parents")
        for above, below, own in zip(self.classes, self.classes[1:], self.parents, strict=False):
            # of one label a picture a class above with nothing below could never be predicted
            places, known = set(own.tolist()), set(range(len(above)))
            if (
                len(own) != len(below)
                or not places <= known
                or not (self.multilabel or places == known)
            ):
                raise ValueError("every class must have a parent, and every parent a class")

    @property
    def training_ids(self) -> set[str]:
        """The ids of pictures that it was trained on, as far as they are recorded."""
        split = self.about.get("split") or {}
        return {row_id for side in ("train", "validation") for row_id in split.get(side, ())}

    @property
    def set_tree(self) -> SetTree:
        """The classes of a head of several labels, level by level."""
        return SetTree(self.levels, self.classes, self.parents)


def output_sizes(classes: Sequence[Sequence[str]], multilabel: object) -> list[int]:
    """Count the logits of each output: one a level, or one for all where labels are several."""
    sizes = [len(names) for names in classes]
    return [sum(sizes)] if multilabel else sizes


def write_head(folder: Path, stored: StoredHead, name: str = "head") -> Path:
    """Write both files into a folder; give the JSON, which leads to the other.

    Parameters
    ----------
    name : str
        Stem of both.
    """
    from safetensors.numpy import save

    scaling = stored.head.scaling
    tensors = {k: np.ascontiguousarray(v) for k, v in stored.head.weights.items()}
    tensors |= {f"{STAGE}{k}": np.ascontiguousarray(v) for k, v in stored.stage.items()}
    tensors |= {MEAN: scaling.mean, FACTOR: np.array([scaling.factor], np.float64)}
    if stored.vectors is not None:
        tensors[VECTORS] = np.ascontiguousarray(stored.vectors.directions)
    content = save(tensors)
    more: dict[str, Any] = {}
    if len(stored.levels) > 1:
        more["temperatures"] = list(stored.temperatures)
        more["parents"] = [own.tolist() for own in stored.parents]
    if stored.multilabel is not None:
        more |= {"kind": MULTI_LABEL, "thresholds": list(stored.multilabel.thresholds)}
        more["separator"] = stored.multilabel.separator
    record = {
        "format": FORMAT,
        "format_version": _version(stored.multilabel, stored.vectors is not None),
        "model": stored.provenance.model,
        "identity": dict(stored.provenance.identity),
        "identity_sha256": stored.provenance.identity_sha256,
        "network": asdict(stored.head.spec),
        "n_dims": stored.head.n_dims,
        "levels": list(stored.levels),
        "classes": [list(names) for names in stored.classes],
        "temperature": stored.temperatures[0],
        **more,
        **({UNLIKE_ABOVE: stored.vectors.unlike_above} if stored.vectors else {}),
        "tensors_sha256": hashlib.sha256(content).hexdigest(),
        **stored.about,
    }
    (folder / f"{name}.safetensors").write_bytes(content)
    path = folder / f"{name}.json"
    checked = with_check_sum(record)
    path.write_text(json.dumps(checked, indent=1, allow_nan=False) + "\n", encoding="ascii")
    return path


def _version(multilabel: object, holds_vectors: bool) -> int:
    """Give the first version that knows what a head is made of."""
    return NEWEST if holds_vectors else MULTI_LABEL_VERSION if multilabel else VERSION


def _multilabel_output(record: Mapping[str, Any]) -> MultilabelOutput | None:
    """Read what a kind needs; a kind of which nothing is known is refused."""
    kind = record.get("kind")
    if kind not in (None, MULTI_LABEL):
        raise ValueError(f"it is of kind {kind!r}, which this version does not know")
    version = _version(kind, UNLIKE_ABOVE in record)
    if record["format_version"] != version:
        raise ValueError(f"its format_version is {record['format_version']}, not {version}")
    if kind is None:
        return None
    return MultilabelOutput(tuple(map(float, record["thresholds"])), str(record["separator"]))


def read_head(path: Path) -> StoredHead:
    """Read a head; whatever does not fit is refused, and nothing in it is run.

    Parameters
    ----------
    path : Path
        Of either file; the other one lies next to it.

    Raises
    ------
    UsageError
        When there is no such file.
    HeadFileError
        With what is wrong, in one line.
    """
    record_path, numbers_in = path.with_suffix(".json"), path.with_suffix(".safetensors")
    if path.suffix not in (".json", ".safetensors"):
        raise UsageError(
            f"{shown(str(path))} is no head: give the head.json that analyze head wrote; pickles "
            "are not loaded, since they could run code"
        )
    for each in (record_path, numbers_in):
        if not each.is_file():
            raise UsageError(f"no file {shown(str(each))}: a head is two files side by side")
    try:
        return _read(record_path, numbers_in)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, UsageError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        why = f"{why} is missing" if isinstance(error, KeyError) else why
        raise HeadFileError(
            f"{shown(str(record_path))} is no head that can be used: {shown(why)}; train one with "
            "python -m analyze head"
        ) from error


def _read(record_path: Path, numbers_in: Path) -> StoredHead:
    if record_path.stat().st_size > MOST_JSON or numbers_in.stat().st_size > MOST_TENSORS:
        raise ValueError("it is larger than any head")
    record = read_json(record_path.read_bytes())
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    version = record["format_version"]
    if type(version) is int and version > NEWEST:
        raise HeadFileError(of_later_format(shown(str(record_path)), version, NEWEST))
    multilabel = _multilabel_output(record)
    content = numbers_in.read_bytes()
    if hashlib.sha256(content).hexdigest() != record["tensors_sha256"]:
        raise ValueError(f"{numbers_in.name} is not the one it was written with")
    spec = _spec(record["network"])
    classes = tuple(tuple(map(str, names)) for names in record["classes"])
    n_dims = record["n_dims"]
    if type(n_dims) is not int or not 0 < n_dims <= MOST_WIDTH:
        raise ValueError(f"n_dims is {n_dims!r}")
    outputs = output_sizes(classes, multilabel)
    tensors = _tensors(content, n_dims, outputs, spec, UNLIKE_ABOVE in record)
    vectors = None
    if UNLIKE_ABOVE in record:
        vectors = TrainingVectors(tensors.pop(VECTORS), float(record[UNLIKE_ABOVE]))
    scaling = Scaling(tensors.pop(MEAN), float(tensors.pop(FACTOR)[0]))
    stage = {k.removeprefix(STAGE): tensors.pop(k) for k in list(tensors) if k.startswith(STAGE)}
    codes = tuple(np.arange(n) for n in outputs)
    provenance = Provenance(record["identity"], (), {"model": record["model"]})
    if provenance.identity_sha256 != record["identity_sha256"]:
        raise ValueError("its identity is not the one it was written with")
    used = {"format", "format_version", "identity", "network", "classes", "temperature"}
    used |= {"temperatures", "parents", "kind", "thresholds", "separator", UNLIKE_ABOVE, CHECK_SUM}
    about = {k: v for k, v in record.items() if k not in used}
    stored = StoredHead(
        Head(spec, scaling, codes, tensors),
        classes,
        tuple(map(str, record["levels"])),
        tuple(map(float, record.get("temperatures", [record["temperature"]]))),
        provenance,
        about,
        tuple(np.array([operator.index(p) for p in own], int) for own in record.get("parents", [])),
        stage,
        multilabel=multilabel,
        vectors=vectors,
    )
    # last: an impossible value is the better message than a changed file
    _, proven = without_check_sum(record)
    return stored if proven else replace(stored, notes=(UNPROVEN,))


def _spec(record: Mapping[str, Any]) -> HeadSpec:
    spec = HeadSpec(**record)
    for name, most in (("width", MOST_WIDTH), ("depth", MOST_DEPTH)):
        value = getattr(spec, name)
        if type(value) is not int or value > most:
            raise ValueError(f"{name} is {value!r}")
    return spec


def _tensors(
    content: bytes, n_dims: int, outputs: list[int], spec: HeadSpec, with_vectors: bool
) -> dict[str, np.ndarray]:
    """Read the numbers: exactly those of such a head, and finite."""
    import torch
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
    except SafetensorError as error:
        raise ValueError(f"its tensors cannot be read ({error})") from error
    with torch.device("meta"):  # shapes alone: a file may ask for more than there is memory
        expected = build_network(n_dims, outputs, spec, seed=0).state_dict()
    shapes = {k: tuple(v.shape) for k, v in expected.items()} | {MEAN: (n_dims,), FACTOR: (1,)}
    if with_vectors:  # of any number
        shapes[VECTORS] = (*tensors.get(VECTORS, np.empty(0)).shape[:1], n_dims)
    # a stage's shapes are its backbone's to know, which checks them when it is put there
    of_head = {name for name in tensors if not name.startswith(STAGE)}
    if of_head != set(shapes):
        odd = sorted(of_head ^ set(shapes))
        raise ValueError(f"tensors {', '.join(odd[:3])} are too many or missing")
    for name, tensor in tensors.items():
        dtype = {FACTOR: np.float64, VECTORS: np.float16}.get(name, np.float32)
        if tensor.shape != shapes.get(name, tensor.shape) or tensor.dtype != dtype:
            raise ValueError(f"tensor {name} has shape {tensor.shape}, not {shapes[name]}")
        if not np.isfinite(tensor).all():
            raise ValueError(f"tensor {name} is not finite")
    return dict(tensors)


def check_identity(stored: StoredHead, provenance: Provenance) -> None:
    """Refuse vectors that are not those the head was trained on.

    Raises
    ------
    UsageError
        With the parts of the identity that differ.
    """
    trained_on, given = stored.provenance.identity, provenance.identity
    if stored.provenance.identity_sha256 == provenance.identity_sha256:
        return
    names = [each.get("imported") if each.get("named") else None for each in (trained_on, given)]
    if names[0] is not None and names[0] == names[1]:
        return  # the name says what made them, the rest which pictures they are of
    parts = [
        part
        for part in sorted({*trained_on, *given})
        if canonical_json(trained_on.get(part)) != canonical_json(given.get(part))
    ]
    raise UsageError(
        f"the head was trained on vectors of {stored.provenance.model} "
        f"({stored.provenance.words}), these are of {provenance.model} "
        f"({provenance.words}): {', '.join(parts)} differ; embed the pictures as it was "
        "trained on, or give predict --images and it does so"
    )
