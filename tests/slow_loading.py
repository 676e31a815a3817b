"""A program of test_pipelines.py, to be killed: three processes that take half a second a picture.

It is given the folder of pictures, the file of embeddings, and a file that shows it has begun.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from small_catalogs import tiny_backbone

from extract.catalog.catalog import list_folder
from extract.loading import picture as loading
from extract.pipeline import loop as one_pass
from extract.pipeline.extraction import Options, extract_embeddings

if __name__ == "__main__":
    shop, path, seen = map(Path, sys.argv[1:])
    one_pass.FEW_WORKERS = 0
    prepare = loading.prepare_picture

    def slow(*words: Any) -> Any:
        seen.touch()
        time.sleep(0.5)
        return prepare(*words)

    loading.prepare_picture = slow
    options = Options(5, 1, workers=3)
    extract_embeddings(list_folder(shop), tiny_backbone(), path, options=options)
