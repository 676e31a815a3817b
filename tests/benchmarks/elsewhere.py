"""Whether other tools open what is exported, as docs/vectors-elsewhere.md says it.

Their packages are installed into a temporary folder, in the versions named here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "vectors-elsewhere.md"
OURS = ("h5py", "typer", "tqdm", "pillow")
"""What our own export imports, beside what the others bring."""

PACKAGES = {
    "embedding-atlas": ("embedding-atlas==0.26.0",),
    "LanceDB": ("lancedb==0.40.0", "pyarrow"),
    "Qdrant": ("qdrant-client==1.20.0", "pyarrow"),
    "pgvector": ("psycopg[binary]==3.3.9", "pgserver==0.1.4", "pyarrow"),
    "FiftyOne": ("fiftyone==1.22.1", "pyarrow"),
}
"""pgserver brings PostgreSQL with pgvector, FiftyOne its MongoDB."""

START = """
import sys
import numpy as np
import pyarrow.parquet as pq
rows = pq.read_table("photos.atlas.parquet").to_pylist()
query = rows[0]["vector"]
vectors = np.array([row["vector"] for row in rows], np.float64)
directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
nearest = np.argsort(-(directions @ directions[0]), kind="stable")[:5]
expected = [rows[i]["id"] for i in nearest]
"""
SEARCHED = """
assert [hit["id"] for hit in hits] == expected, (hits, expected)
print(len(rows), "rows; the nearest five are the exact ones")
"""
BEFORE = {
    "LanceDB": """
from extract.storage.exchange.export import export_embeddings
from extract import read_embeddings
export_embeddings(read_embeddings(sys.argv[1]), "photos.lancedb", "lancedb", overwrite=True)
""",
    "pgvector": """
import pgserver
url = pgserver.get_server("postgres").get_uri()
""",
}
AFTER = {
    "FiftyOne": """
kept = np.array(dataset.values("embedding"), np.float32)
assert kept.tobytes() == vectors.astype(np.float32).tobytes()
assert dataset.values("row_id") == [row["id"] for row in rows]
assert dataset.first().metadata is None and dataset.count() == len(rows)
dataset.delete()
print(len(rows), "samples with the vectors bit for bit")
""",
}
ATLAS = """
import io, subprocess, zipfile
words = "photos.atlas.parquet --x x --y y --neighbors neighbors --pagerank --degree"
words += " --export-application atlas.zip"
subprocess.run([sys.argv[2], *words.split()], check=True, capture_output=True)
with zipfile.ZipFile("atlas.zip") as archive:
    (name,) = [name for name in archive.namelist() if name.endswith(".parquet")]
    table = pq.read_table(io.BytesIO(archive.read(name)))
for name in ("x", "y", "neighbors", "image", "class"):
    assert table[name].to_pylist() == [row[name] for row in rows], name
print(table.num_rows, "rows with map, neighbors, pictures and labels; columns made of them:")
print(sorted(set(table.column_names) - set(rows[0])))
"""


def measure(only: list[str] | None, environment: Path | None, workspace: Path | None) -> None:
    """Draw and embed the demo, export it, and read it back with each tool.

    Parameters
    ----------
    only : list of str, optional
        Names of tools.
    environment : Path, optional
        A virtual environment to install into, in place of a temporary one for each tool.
    workspace : Path, optional
        In place of a temporary one; a demo that is embedded there is taken.
    """
    blocks = dict(re.findall(r"## (.+?)\n\n```(?:py|text)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    with tempfile.TemporaryDirectory() as folder:
        root = workspace or Path(folder)
        _run(root, sys.executable, "-m", "extract", "-q")
        (file,) = (root / "cache" / "embeddings" / "demo").glob("*-????????.h5")
        words = "-m analyze export --catalog demo --output photos.atlas.parquet --overwrite"
        _run(root, sys.executable, *words.split())
        for tool in only or PACKAGES:
            started = time.perf_counter()
            home = environment or root / f"environment-{tool}"
            if not home.exists():
                _run(root, sys.executable, "-m", "venv", str(home))
            python = str(home / "bin" / "python")
            _run(root, python, "-m", "pip", "install", "-q", *OURS, *PACKAGES[tool])
            code = START + BEFORE.get(tool, "") + blocks[tool] + AFTER.get(tool, SEARCHED)
            if tool == "embedding-atlas":
                code = START + ATLAS
            said = _run(root, python, "-c", code, str(file), str(home / "bin" / "embedding-atlas"))
            taken = time.perf_counter() - started
            made = f"{' '.join(PACKAGES[tool])}: {said} ({taken:.0f} s with installing)"
            print(made, flush=True)


def _run(root: Path, *words: str) -> str:
    """Run a command in the workspace, and give what it printed; its errors if it fails."""
    from os import environ

    given = {**environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(words, cwd=root, env=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return " ".join(done.stdout.split())
