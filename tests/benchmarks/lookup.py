"""Look-ups on vectors that are drawn: exact beside its limit, and served by an index."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from analyze.neighbors.indexes.exact_search import ExactIndex, Index
from analyze.neighbors.indexes.index_cache import open_index
from analyze.neighbors.indexes.index_choice import wanted_index
from analyze.neighbors.query import Query
from analyze.neighbors.similar import LookUp
from analyze.pictures.picture_folder import PictureFolder
from analyze.unit_vectors import unit_rows
from extract.storage.embeddings import EmbeddingSet, Provenance
from tests.benchmarks.process_costs import costing, peak_bytes, processor_in_words

CLUSTERS, WITHIN, NOISE = 2000, 40, 0.5
QUERIES, ASKED, AT = 1024, 500, 10
BATCHES = (10, 100, QUERIES)
DRAWN_AT_ONCE = 50_000
RESTING_SECONDS = 0.7
"""Between two that share the cores: threads of one library go on spinning when it is done."""


def measure(
    n_rows: int,
    n_dims: int,
    indexes: list[str] | None,
    recall: float,
    only: list[str] | None,
    rounds: int,
) -> None:
    """Print what exact search costs beside its limit, and what an index finds, takes and holds."""
    print(f"{processor_in_words()}; {n_rows:,} rows of {n_dims} numbers, one after the other")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw(folder, n_rows, n_dims)
        parts: dict[str, Callable[[], object]] = {
            "batch": lambda: [_batch(folder, rounds, n) for n in BATCHES],
            "one": lambda: _one(folder, rounds),
        }
        for name, part in parts.items():
            if not only or name in only:
                part()
        if not only or "served" in only:
            for index in indexes or ["auto"]:
                for serving in (False, True):
                    _in_a_process(folder, index, recall, serving=serving)


def draw(folder: Path, n_rows: int, n_dims: int) -> None:
    """Draw rows about 2,000 centers in 40 directions, with noise in all, and new ones to ask."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((CLUSTERS, WITHIN), dtype=np.float32)
    turned = (rng.standard_normal((WITHIN, n_dims)) / WITHIN**0.5).astype(np.float32)

    def some(n: int) -> np.ndarray:
        within = rng.standard_normal((n, WITHIN), dtype=np.float32)
        rows = (within + centers[rng.integers(0, CLUSTERS, n)]) @ turned
        rows += NOISE * rng.standard_normal((n, n_dims), dtype=np.float32)
        return rows

    shape = (n_rows, n_dims)
    rows = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float32, shape)
    for first in range(0, n_rows, DRAWN_AT_ONCE):
        rows[first : first + DRAWN_AT_ONCE] = some(min(DRAWN_AT_ONCE, n_rows - first))
    rows.flush()
    np.save(folder / "asked.npy", some(QUERIES))


def drawn(folder: Path) -> tuple[EmbeddingSet, np.ndarray]:
    """Open the rows, on disk as those of an embeddings file are, and read what is asked."""
    rows = np.asarray(np.load(folder / "rows.npy", mmap_mode="r"))
    ids = tuple(f"{i:08}" for i in range(len(rows)))
    hashes = np.zeros((len(rows), 32), np.uint8)
    hashes[:, :8] = np.arange(1, len(rows) + 1, dtype="<u8").view(np.uint8).reshape(-1, 8)
    provenance = Provenance({"backbone": "drawn"}, ())
    found = EmbeddingSet(ids, rows, provenance, content_sha256=hashes)
    return found, np.load(folder / "asked.npy")


def _batch(folder: Path, rounds: int, n_queries: int) -> None:
    """Hold a batch of exact look-ups against the product of matrices that it cannot do without."""
    embeddings, queries = drawn(folder)
    queries = queries[:n_queries]
    index = ExactIndex(embeddings.vectors)
    rows, asked = unit_rows(embeddings.vectors), unit_rows(queries)
    products = np.empty((len(asked), len(rows)), np.float32)
    ours, limit = [], []
    for _ in range(rounds + 1):
        time.sleep(RESTING_SECONDS)
        with costing() as cost:
            index.find(queries, AT)
        ours.append(cost)
        time.sleep(RESTING_SECONDS)
        with costing() as cost:
            np.matmul(asked, rows.T, out=products)
        limit.append(cost)
    for what in ("cpu", "wall"):
        own, least = (np.median([getattr(c, what) for c in costs[1:]]) for costs in (ours, limit))
        share = np.median(
            [getattr(b, what) / getattr(a, what) for a, b in zip(ours[1:], limit[1:], strict=True)]
        )
        best = min(getattr(c, what) for c in limit[1:]) / min(getattr(c, what) for c in ours[1:])
        flops = 2 * rows.shape[0] * rows.shape[1] * len(asked)
        print(
            f"batch of {len(asked)}, exact, {what}: {1e3 * own / len(asked):.3f} ms a query, the "
            f"product alone {1e3 * least / len(asked):.3f} ({flops / least / 1e9:.0f} GFLOP/s): "
            f"{share:.2f} of the limit, {best:.2f} by the fastest of each",
            flush=True,
        )


def _one(folder: Path, rounds: int) -> None:
    """Hold single exact look-ups against scikit-learn's brute force by cosine."""
    from sklearn.neighbors import NearestNeighbors

    embeddings, queries = drawn(folder)
    index = ExactIndex(embeddings.vectors)
    theirs = NearestNeighbors(n_neighbors=AT, algorithm="brute", metric="cosine")
    theirs.fit(embeddings.vectors)
    times: dict[str, list[float]] = {"cpu": [], "wall": []}
    own: list[float] = []
    for query in queries[: 4 * rounds]:
        with costing() as ours:
            found = index.find(query[None], AT)
        with costing() as their:
            _, rows = theirs.kneighbors(query[None])
        assert set(rows[0].tolist()) == set(found.rows[0].tolist())
        own.append(ours.wall)
        for what, ratios in times.items():
            ratios.append(getattr(their, what) / getattr(ours, what))
    print(
        f"one query, exact: {1e3 * np.median(own):.1f} ms; scikit-learn takes "
        + ", ".join(f"{np.median(ratios):.1f} x the {what}" for what, ratios in times.items()),
        flush=True,
    )


def _in_a_process(folder: Path, index: str, recall: float, *, serving: bool) -> None:
    context = get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_served, args=(folder, index, recall, serving, sending))
    child.start()
    child.join()
    print(receiving.recv() if child.exitcode == 0 else f"{index}: failed", flush=True)


def _served(folder: Path, name: str, recall: float, serving: bool, told: Connection) -> None:
    """Build an index, or open the one that is there and look up by it."""
    embeddings, queries = drawn(folder)
    choice = wanted_index(name, None, *embeddings.vectors.shape, recall=recall)
    with costing() as cost:
        opened = open_index(embeddings, folder / "rows.h5", folder / "index", choice, recall)
    spent = f"{cost.wall:.1f} s ({cost.cpu:.1f} of CPU), peak {peak_bytes() / 1e9:.2f} GB"
    if not serving:
        told.send(f"{name}: {choice.name}, {choice.why}; built and measured in {spent}")
        return
    about = opened.about or {}
    index = opened.index or ExactIndex(embeddings.vectors)
    look_up = LookUp(embeddings, PictureFolder(embeddings, None), index=index)
    rows = np.random.default_rng(2).choice(len(embeddings), ASKED, replace=False).tolist()
    vectors = embeddings.vectors
    finding = _milliseconds([lambda q=q: index.find(q[None], AT) for q in queries[:ASKED]])
    asking = _milliseconds([lambda r=r: look_up.ask(Query("", vectors[r], r)) for r in rows])
    held = peak_bytes()
    apart = recall_apart(index, embeddings.vectors, queries)
    own = recall_apart(index, embeddings.vectors, vectors[rows], rows)
    told.send(
        f"{name}: {choice.name} opened in {spent}; index {about.get('bytes', 0) / 1e6:.0f} MB, "
        f"{about.get('knobs')}; recall@10 printed {opened.recall:.4f} on {opened.n_queries} "
        f"held-out rows, apart {apart:.4f} on {len(queries)} new; of its own rows printed "
        f"{opened.recall_of_rows:.4f}, apart {own:.4f} on {len(rows)}; nearest rows {finding}, "
        f"look-up with copies folded {asking}; peak {held / 1e9:.2f} GB"
    )


def _milliseconds(works: list[Callable[[], object]]) -> str:
    taken = []
    for work in works:
        began = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - began))
    median, late = np.quantile(taken, [0.5, 0.95])
    return f"p50 {median:.2f} ms, p95 {late:.2f} ms"


def recall_apart(
    index: Index, vectors: np.ndarray, queries: np.ndarray, own: list[int] | None = None
) -> float:
    """Measure recall at 10 anew by plain products; rows that are asked are left out."""
    left_out = [np.array([row]) for row in own] if own else None
    found = index.find(queries, AT, left_out).rows
    best = np.zeros((len(queries), 0), np.float32)
    asked = unit_rows(queries)
    rows = np.zeros((len(queries), 0), int)
    for first in range(0, len(vectors), DRAWN_AT_ONCE):
        some = unit_rows(vectors[first : first + DRAWN_AT_ONCE])
        products = asked @ some.T
        for i, row in enumerate(own or ()):
            if first <= row < first + len(some):
                products[i, row - first] = -np.inf
        best = np.concatenate([best, products], axis=1)
        here = np.arange(first, first + len(some))
        rows = np.concatenate([rows, np.broadcast_to(here, (len(queries), len(here)))], axis=1)
        kept = np.argpartition(-best, AT - 1, axis=1)[:, :AT]
        best = np.take_along_axis(best, kept, axis=1)
        rows = np.take_along_axis(rows, kept, axis=1)
    pairs = zip(found, rows, strict=True)
    return float(np.mean([len(set(own.tolist()) & set(true.tolist())) / AT for own, true in pairs]))
