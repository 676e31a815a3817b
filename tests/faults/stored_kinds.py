"""One small file of every kind that is stored, and all that its readers say of it.

``make`` writes it as the product does; ``read`` reads it as the product does and gives
everything that a user could see of it, with what was said beside: notes and warnings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analyze.clustering.cache import ClusteringCache
from analyze.clustering.clustering import cluster
from analyze.head.prediction.head_file import MultilabelOutput, StoredHead, read_head, write_head
from analyze.head.prediction.predictions import predict
from analyze.head.training.inputs import Scaling
from analyze.head.training.network import Head, HeadSpec, build_network
from analyze.head.training.objective import LevelTargets
from analyze.head.training.training_set import TrainingData
from analyze.neighbors.indexes.index_cache import open_index
from analyze.neighbors.indexes.index_choice import Choice
from analyze.neighbors.novelty import TrainingVectors, kept_directions
from analyze.reduction.cache import ReductionCache
from analyze.reduction.reduction import reduce
from extract.catalog.catalog import Catalog, Level
from extract.catalog.multi_label import MultiLabel
from extract.refusals import SOUND, Reason
from extract.storage.embeddings import EmbeddingSet, Provenance
from extract.storage.embeddings_file import read_embeddings, read_provenance, read_table
from extract.storage.embeddings_table import ROW_FIELDS, Rows, blank_fields
from extract.storage.failures import append_refusals, failures_path, read_refusals
from extract.storage.labels_file import labels_path, write_labels
from extract.storage.layout import lay_out
from extract.storage.row_writer import RowWriter

N_DIMS = 6
IDENTITY = {"backbone": "tiny", "weights": {"source": "random", "seed": 0}}
EXECUTION_CONFIGS = (
    {"batch_size": 2, "threads": 1, "device": "cpu"},
    {"batch_size": 2, "threads": 2},
)
RECORD = {"model": "tiny", "images_root": "photos", "versions": {"sosie": "0.1.0"}}
IDS = ("cups/1", "cups/2", "cups/3", "hats/1", "hats/2", "hats/3", "rugs/1", "rugs/2")
REFUSED, TO_DO = 2, 7
MISSING = {
    "id": IDS[REFUSED],
    "code": "missing",
    "status": int(Reason.MISSING),
    "message": "no such file",
    "bytes": None,
    "content_sha256": None,
}
SEED = 3


@dataclass(frozen=True)
class Kind:
    """A kind of stored file.

    Parameters
    ----------
    make : callable
        (folder) -> the files whose bytes are changed.
    read : callable
        (folder) -> what is seen, by name; what the reader says beside goes to the second list.
    parts : tuple of str
        What may be seen less of where that is said: a row left out, a trial made again.
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path, list[str]], dict[str, Any]]
    parts: tuple[str, ...] = ()


def _vectors(n_images: int) -> np.ndarray:
    return np.random.default_rng(SEED).normal(size=(n_images, N_DIMS)).astype(np.float32)


def some_embeddings(n_images: int = 40) -> EmbeddingSet:
    """Make vectors of two classes, as they are read from a file."""
    ids = tuple(f"{i:03}" for i in range(n_images))
    level = Level("kind", ("cup", "hat"), (np.arange(n_images) % 2).astype(np.int32))
    return EmbeddingSet(ids, _vectors(n_images), Provenance(IDENTITY, ()), (level,))


# embeddings, with refusals and labels


def _catalog() -> Catalog:
    paths = tuple(f"{row_id}.jpg" for row_id in IDS)
    level = Level.from_values("class", [row_id.partition("/")[0] for row_id in IDS])
    several = MultiLabel.from_values("tags", ["ab", "", "b", "a", "a", "b", "", "a"])
    names = {"name": tuple(f"No. {i}" for i in range(len(IDS)))}
    return Catalog("shop", Path("photos"), IDS, paths, (level,), names, multi_labels=(several,))


def _make_embeddings(folder: Path) -> list[Path]:
    path, catalog = folder / "tiny-12345678.h5", _catalog()
    lay_out(path, catalog, Provenance(IDENTITY, EXECUTION_CONFIGS, RECORD), N_DIMS)
    n_done = TO_DO
    rows = Rows(vectors=_vectors(n_done), **blank_fields(n_done))
    rows.status[:] = SOUND
    rows.content_sha256[:] = np.random.default_rng(5).integers(0, 256, (n_done, 32))
    rows.size[:], rows.mtime_ns[:] = np.arange(n_done) + 1_000, np.arange(n_done) + 10**18
    rows.execution_config[:] = np.arange(n_done) % 2
    if "dimensions" in ROW_FIELDS:
        rows.dimensions[:] = (480, 640)
    rows.status[REFUSED], rows.vectors[REFUSED] = Reason.MISSING, np.nan
    append_refusals(failures_path(path), [MISSING])
    writer = RowWriter(read_table(path))
    writer.write(np.arange(n_done), rows)
    writer.sync()
    writer.write_record({**RECORD, "images_per_second": 12.5})
    writer.close()
    write_labels(labels_path(path), catalog)
    return [path]


def _read_embeddings(folder: Path, said: list[str]) -> dict[str, Any]:
    (path,) = (p for p in folder.glob("*.h5") if not p.name.endswith(".labels.h5"))
    found, table = read_embeddings(path), read_table(path)
    said += [f"{n} {why}" for why, n in sorted(found.left_out.items())]
    rows = [table.ids.index(row_id) for row_id in found.ids]
    beside = [n for n in ROW_FIELDS if n not in ("row_crc32", "fields_crc32", "status")]
    several = [v.values() for v in found.multi_labels]
    columns = [*(v.values() for v in found.levels), *found.columns.values(), *several]
    shown = {
        row_id: (
            found.vectors[i].tobytes(),
            found.paths[i] if found.paths else row_id,
            [values[i] for values in columns],
            *(getattr(table.rows, name)[rows[i]].tolist() for name in beside),
        )
        for i, row_id in enumerate(found.ids)
    }
    return {
        "rows": shown,
        "refused": {r["id"]: {k: v for k, v in r.items() if v} for r in read_refusals(table)},
        "names": [v.name for v in (*found.levels, *found.multi_labels)] + list(found.columns),
        "identity": found.provenance.identity,
        "realisations": found.provenance.execution_configs,
        "record": dict(read_provenance(path).record),
        "n_rows": len(table),
        "ways": {w: r.tolist() for w, r in table.rows_by_execution_config().items()},
    }


def _make_labels(folder: Path) -> list[Path]:
    return [labels_path(path) for path in _make_embeddings(folder)]


def _make_refusals(folder: Path) -> list[Path]:
    return [failures_path(path) for path in _make_embeddings(folder)]


# heads


def a_head(several: bool = False, levels: int = 1) -> StoredHead:
    """Make a head with drawn weights: of one level, of two, or of several labels a picture."""
    classes = (("cup", "hat"), ("blue cup", "red cup", "sun hat"))[:levels]
    spec = HeadSpec(width=4, dropout=0.25)
    network = build_network(N_DIMS, [len(names) for names in classes], spec, seed=SEED)
    weights = {k: v.detach().numpy() for k, v in network.state_dict().items()}
    codes = tuple(np.arange(len(names)) for names in classes)
    split = {"train": ["000", "001"], "validation": ["002"], "test": [], "seed": 0}
    return StoredHead(
        Head(spec, Scaling.learned(_vectors(20)), codes, weights),
        classes,
        ("kind", "sort")[:levels],
        (1.25, 0.75)[:levels],
        Provenance(IDENTITY, (), {"model": "tiny"}),
        {"split": split, "metrics": {"accuracy": 0.9375}},
        (np.array([0, 0, 1]),) if levels > 1 else (),
        multilabel=MultilabelOutput((0.5, 0.25), "|") if several else None,
        vectors=TrainingVectors(kept_directions(_vectors(20)), 0.25),
    )


def _make_head(folder: Path) -> list[Path]:
    path = write_head(folder, a_head(levels=2))
    return [path, path.with_suffix(".safetensors")]


def _read_head(folder: Path, said: list[str]) -> dict[str, Any]:
    stored = read_head(folder / "head.json")
    said += getattr(stored, "notes", ())
    found = {
        "classes": stored.classes,
        "levels": stored.levels,
        "temperatures": stored.temperatures,
        "model": stored.provenance.model,
        "identity": stored.provenance.identity,
        "parents": [own.tolist() for own in stored.parents],
        "about": dict(stored.about),
        "network": asdict(stored.head.spec),
        "several": stored.multilabel,
        "weights": {k: v.tobytes() for k, v in sorted(stored.head.weights.items())},
    }
    if stored.multilabel is None:
        said_of = predict(stored, some_embeddings())
        found["answers"] = [each.tobytes() for each in said_of.probabilities]
        found["distances"] = (said_of.distances.tobytes(), stored.vectors.unlike_above)
    return found


# reductions and clusterings


def _make_reduction(folder: Path) -> list[Path]:
    ReductionCache(folder)(some_embeddings(), "pca:99", 0, None)
    return sorted(folder.iterdir())


def _read_reduction(folder: Path, _said: list[str]) -> dict[str, Any]:
    found = ReductionCache(folder)(some_embeddings(), "pca:99", 0, None)
    return {
        "coordinates": found.coordinates.tobytes(),
        "parameters": found.parameters,
        "notes": found.notes,
    }


def _make_clustering(folder: Path) -> list[Path]:
    embeddings = some_embeddings()
    reduced = reduce(embeddings, "pca:99", 0)
    found = cluster(reduced, 3, 0)
    noted = type(found)(**{**vars(found), "notes": (*reduced.notes, *found.notes)})
    ClusteringCache(folder).write(embeddings, "pca:99", noted)
    return sorted(folder.iterdir())


def _read_clustering(folder: Path, said: list[str]) -> dict[str, Any]:
    found = ClusteringCache(folder).read(some_embeddings(), "pca:99", 3, 0)
    if found is None:  # it is made again
        said.append("missing")
        return {"clustering": {}}
    words = (found.assignments.tobytes(), found.n_clusters, found.notes)
    return {"clustering": dict(enumerate(words))}


# indexes and trials


def _make_index(folder: Path) -> list[Path]:
    _opened(folder)
    return sorted(p for p in folder.iterdir() if p.suffix in (".json", ".faiss"))


def _opened(folder: Path) -> Any:
    choice = Choice("sq8", None, "as requested")
    return open_index(some_embeddings(400), Path("shop/tiny.h5"), folder, choice, 0.9)


def _read_index(folder: Path, said: list[str]) -> dict[str, Any]:
    found = _opened(folder)
    said += found.notes
    asked = found.index.find(_vectors(5), 4)
    built_again = any("built again" in note for note in found.notes)
    about = {k: v for k, v in (found.about or {}).items() if not (built_again and k == "seconds")}
    return {
        "rows": [list(rows) for rows in asked.rows],
        "recall": (found.recall, found.recall_of_rows, found.n_queries),
        "about": {} if built_again else about,
    }


def _make_trials(folder: Path) -> list[Path]:
    from analyze.head.training.head_training import TrainingSpec
    from analyze.head.tuning.trials import tune_head

    labels = np.arange(24) % 2
    training_set = TrainingData(
        _vectors(24)[None], LevelTargets.of_one(labels), np.arange(16), np.arange(16, 24)
    )
    quick = TrainingSpec(learning_rate=0.01, epochs=2, patience=1)
    tune_head(training_set, HeadSpec(width=4), quick, n_trials=3, folder=folder)
    return list(folder.glob("*.db"))


def _read_trials(folder: Path, _said: list[str]) -> dict[str, Any]:
    import optuna

    from analyze.head.tuning.trial_storage import open_kept

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    (path,) = folder.glob("*.db")
    with open_kept(path) as kept:
        trials = {
            t.number: (t.state, t.values, t.params, t.intermediate_values, t.user_attrs["seconds"])
            for t in kept.trials()
        }
    return {"trials": trials}


KINDS: Mapping[str, Kind] = {
    "embeddings": Kind(_make_embeddings, _read_embeddings, ("rows", "refused", "record", "ways")),
    "labels": Kind(_make_labels, _read_embeddings),
    "refusals": Kind(_make_refusals, _read_embeddings, ("refused",)),
    "head": Kind(_make_head, _read_head),
    "reduction": Kind(_make_reduction, _read_reduction),
    "clustering": Kind(_make_clustering, _read_clustering, ("clustering",)),
    "index": Kind(_make_index, _read_index, ("about",)),
    "trials": Kind(_make_trials, _read_trials, ("trials",)),
}


class Heard(logging.Handler):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())
