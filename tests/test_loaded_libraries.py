"""Each command loads the libraries it uses, and no other: those are what it takes to start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_catalogs import offline_environment, run_in

pytestmark = pytest.mark.slow

LARGE = (
    "torch torchvision timm transformers huggingface_hub openvino numba umap openTSNE faiss "
    "sklearn scipy joblib pandas seaborn matplotlib PIL h5py numpy"
).split()

COMMANDS = {
    "extract show cache/embeddings/photos/{file}": {"numpy", "h5py"},
    "extract --images photos": {"PIL"},
    "analyze similar --catalog photos --query {row}": {"faiss", "matplotlib", "scipy"},
    "analyze similar --catalog photos --query photos/{row}": set(),
    "analyze --catalog photos --reduce none": {"sklearn", "joblib", "pandas", "seaborn"},
}
"""What each loads in addition to those above it."""

TYPE_ALL = f"""
import contextlib, importlib, json, sys
found = []
for words in json.loads(sys.argv[1]):
    main = importlib.import_module(words[0] + ".__main__").main
    sys.argv = ["python -m", *words[1:], "--quiet"]
    with contextlib.redirect_stdout(sys.stderr):
        try:
            main()
        except SystemExit as end:
            assert end.code == 0, words
    found.append([name for name in {LARGE} if name in sys.modules])
print(json.dumps(found))
"""


def test_what_is_stored_is_used_without_the_libraries_that_made_it(own_shop: Path) -> None:
    assert run_in(own_shop, "extract", "--images", "photos").returncode == 0
    (file,) = (own_shop / "cache/embeddings/photos").glob("*[!s].h5")
    row = next(path.relative_to(own_shop / "photos") for path in own_shop.glob("photos/*/*.jpg"))
    typed = [words.format(file=file.name, row=row.as_posix()).split() for words in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", TYPE_ALL, json.dumps(typed)],
        cwd=own_shop,
        env=offline_environment(own_shop),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    allowed: set[str] = set()
    for (words, more), loaded in zip(
        COMMANDS.items(), json.loads(done.stdout.splitlines()[-1]), strict=True
    ):
        allowed |= more
        assert set(loaded) <= allowed, words
