"""What the hashes and check sums of a run cost beside the run."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from extract.backbones.registry import load_backbone
from extract.catalog.catalog import list_folder
from extract.pipeline.extraction import extract_embeddings
from extract.storage.embeddings import row_crc32
from extract.storage.embeddings_file import read_table


def measure(images: Path, model: str) -> None:
    """Embed a folder; then do again, alone, what proves it: hashes, check sums, their check."""
    catalog = list_folder(images)
    backbone = load_backbone(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        began, computing = time.monotonic(), time.process_time()
        extract_embeddings(catalog, backbone, path)
        seconds, computing = time.monotonic() - began, time.process_time() - computing
        table = read_table(path)
        contents = [(catalog.images_root / name).read_bytes() for name in catalog.paths]

        def check_sums() -> None:
            for row_id, content, vector in zip(
                table.ids, table.rows.content_sha256, table.rows.vectors, strict=True
            ):
                row_crc32(row_id, content.tobytes(), vector.data)

        parts: dict[str, Callable[[], object]] = {
            "sha256 of the pictures": lambda: [hashlib.sha256(c).digest() for c in contents],
            "check sums of the rows": check_sums,
            "check of the file": table.sound,
        }
        print(f"{len(catalog)} pictures in {seconds:.1f} s, {computing:.1f} s of CPU")
        spent = 0.0
        for what, do in parts.items():
            began = time.process_time()
            do()
            spent += time.process_time() - began
            print(f"{what:24} {time.process_time() - began:.4f} s")
        print(f"together {100 * spent / computing:.2f} % of the CPU time")
