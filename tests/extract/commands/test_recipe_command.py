"""A recipe from the pictures to the answer, as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from small_catalogs import run_in

RECIPE = """
about = "Squashed, in two steps"
[extract]
model = "efficientnet_lite0"
resize = "squash"
[analyze]
reduce = "l2,pca:0.9"
seeds = [1, 2, 3]
"""


def test_a_recipe_of_ones_own_makes_the_vectors_and_the_answer(own_shop: Path) -> None:
    for other in ("unsorted", "products"):
        shutil.rmtree(own_shop / "cache/embeddings" / other)
    (own_shop / "mine.toml").write_text(RECIPE)
    words = ["--recipe", "mine.toml"]
    before = run_in(own_shop, "analyze", "compare", *words)
    assert before.returncode == 2
    done = run_in(own_shop, "extract", *words, "--images", "photos", "--json")
    assert done.returncode == 0, done.stderr
    plain = run_in(own_shop, "extract", "--images", "photos", "--json")
    made = json.loads(done.stdout)
    assert made["model"] == "efficientnet_lite0"
    assert made["identity"] != json.loads(plain.stdout)["identity"]
    shown = json.loads(run_in(own_shop, "extract", "show", made["file"], "--json").stdout)
    assert shown["identity"]["geometry"]["resize"] == "squash"
    found = json.loads(run_in(own_shop, "analyze", "compare", *words, "--json").stdout)
    assert found["files"] == [made["file"]]
    assert [row["clustering_seed"] for row in found["rows"]] == [1, 2, 3]
    beside = run_in(own_shop, "extract", *words, "--images", "photos", "--resize", "pad")
    assert beside.returncode == 2
    assert "--recipe mine.toml fixes --resize: leave one of them out" in beside.stderr
    one = json.loads(run_in(own_shop, "analyze", *words, "--json").stdout)
    same = next(row for row in found["rows"] if row["clustering_seed"] == 1)
    assert (one["file"], one["reduction"], one["seed"]) == (made["file"], "l2,pca:0.9", 1)
    assert one["scores"]["ari"] == same["ari"]
    assert one["recipe"] == "mine"
    typed = run_in(own_shop, "analyze", *words, "--reduce", "none")
    assert typed.returncode == 2
    assert "--recipe mine.toml fixes --reduce: leave one of them out" in typed.stderr
