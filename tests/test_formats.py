"""Files written by released versions are read for ever; none of them is ever written anew.

Those named ``summed`` have check sums over all they say, the others over rows, labels and tensors.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_catalogs import PROJECT

from analyze.array_cache import ArrayCache
from analyze.head.prediction.head_file import MultilabelOutput, read_head
from analyze.head.prediction.predictions import predict
from analyze.neighbors.indexes.exact_search import ExactIndex
from analyze.neighbors.indexes.index_cache import open_index
from analyze.neighbors.indexes.index_choice import Choice
from extract.storage.embeddings import sha256_of
from extract.storage.embeddings_file import read_embeddings, read_table
from extract.storage.failures import read_refusals
from tests.faults.stored_kinds import EXECUTION_CONFIGS, IDS, some_embeddings

FORMATS = PROJECT / "tests" / "formats"


def test_version_1_is_read_with_ids_labels_columns_and_reasons() -> None:
    vectors = read_embeddings(FORMATS / "v1-tiny.h5")
    assert vectors.ids == ("cups/1.jpg", "cups/\udcff.jpg", "hats/é.jpg", "rugs/2.jpg")
    np.testing.assert_array_equal(vectors.vectors, np.load(FORMATS / "v1-tiny.npy"))
    assert vectors.levels[0].values() == ("cups", "cups", "hats", "rugs")
    assert vectors.columns == {"name": ("A", "B", "D", "E")}
    assert vectors.left_out == {"missing": 1}
    assert vectors.provenance.model == "tiny"
    assert vectors.provenance.weights == "random"
    assert read_table(FORMATS / "v1-tiny.h5").counts() == {
        "sound": 4,
        "to_do": 0,
        "refused": {"missing": 1},
    }


@pytest.mark.parametrize("version", ["v1", "v1-summed"])
def test_a_shop_is_read_with_paths_several_labels_and_refusals(version: str) -> None:
    path = FORMATS / f"{version}-shop.h5"
    table, vectors = read_table(path), read_embeddings(path)
    assert vectors.ids == (*IDS[:2], *IDS[3:7])
    assert vectors.paths is not None
    assert vectors.paths[0] == "cups/1.jpg"
    assert vectors.left_out == {"missing": 1, "to_do": 1}
    np.testing.assert_allclose(vectors.vectors[0, :2], [2.0409188, -2.5556653], rtol=1e-6)
    assert vectors.levels[0].values() == ("cups", "cups", "hats", "hats", "hats", "rugs")
    assert [sorted(v) for v in vectors.multi_labels[0].values()] == [
        ["a", "b"], [], ["a"], ["a"], ["b"], []
    ]  # fmt: skip
    assert vectors.columns["name"][2] == "No. 3"
    assert table.provenance.execution_configs == EXECUTION_CONFIGS
    assert table.provenance.record["images_per_second"] == 12.5
    assert {k: v.tolist() for k, v in table.rows_by_execution_config().items()} == {
        0: [0, 4, 6],
        1: [1, 3, 5],
    }
    assert [r["message"] for r in read_refusals(table)] == ["no such file"]
    assert table.rows.fields_crc32[:7].all() == (version == "v1-summed")


@pytest.mark.parametrize("summed", [False, True])
def test_heads_are_read_and_say_where_no_check_sum_proves_them(summed: bool) -> None:
    name = "summed-head" if summed else "head"
    tree, several = (read_head(FORMATS / f"v{n}-{name}.json") for n in (1, 2))
    assert tree.classes == (("cup", "hat"), ("blue cup", "red cup", "sun hat"))
    assert (tree.levels, tree.temperatures) == (("kind", "sort"), (1.25, 0.75))
    assert tree.parents[0].tolist() == [0, 0, 1]
    kinds, sorts = predict(tree, some_embeddings()).probabilities
    np.testing.assert_allclose(kinds[0], [0.7047817, 0.2952183], atol=1e-5)
    np.testing.assert_allclose(sorts[0], [0.4577711, 0.2470106, 0.2952183], atol=1e-5)
    assert several.multilabel == MultilabelOutput((0.5, 0.25), "|")
    for head in (tree, several):
        assert [("no check sum" in note) for note in head.notes] == [True] * (not summed)


def test_a_head_of_version_3_tells_what_is_unlike_its_training_vectors() -> None:
    tree, earlier = (read_head(FORMATS / f"{name}-head.json") for name in ("v3", "v1-summed"))
    assert tree.vectors is not None
    assert (tree.vectors.directions.shape, tree.vectors.unlike_above) == ((20, 6), 0.25)
    found, before = (predict(head, some_embeddings()) for head in (tree, earlier))
    for own, other in zip(found.probabilities, before.probabilities, strict=True):
        np.testing.assert_array_equal(own, other)
    assert found.distances is not None
    np.testing.assert_allclose(found.distances[-2:], [0.1603779, 0.2715997], atol=1e-6)
    assert found.unlike is not None
    assert found.unlike[-2:].tolist() == [False, True]
    assert (before.distances, before.unlike) == (None, None)
    assert {tuple(row[-2:]) for row in list(before.table())[1:]} == {("", "")}


@pytest.mark.parametrize("kind", ["reduction", "clustering"])
def test_arrays_without_a_check_sum_are_made_again_and_others_read(
    kind: str, tmp_path: Path
) -> None:
    for version in ("v1", "v1-summed"):
        said_in = FORMATS / f"{version}-{kind}.json"
        key = json.loads(said_in.read_text())["key"]
        for suffix in (".json", ".npy"):
            stored = tmp_path / f"{sha256_of(key)[:32]}{suffix}"
            shutil.copy(said_in.with_suffix(suffix), stored)
        found = ArrayCache(tmp_path, "it is").read(key, lambda array, said: (array, said["notes"]))
        assert (found is None) == (version == "v1")
    assert found is not None
    array, notes = found
    assert notes == ["pca: 99 components lowered to 6, as many as the rows allow"]
    if kind == "clustering":
        assert array[:8].tolist() == [2, 0, 2, 2, 1, 2, 1, 2]
    else:
        np.testing.assert_allclose(array[0, :2], [1.4426961, 2.2393541], rtol=1e-6)


@pytest.mark.parametrize("version", ["v1", "v1-summed"])
def test_an_index_is_opened_or_built_again_with_a_word(version: str, tmp_path: Path) -> None:
    for suffix in (".json", ".faiss"):
        stored = FORMATS / f"{version}-index{suffix}"
        shutil.copy(stored, tmp_path / f"shop-tiny-sq8{suffix}")
    embeddings = some_embeddings(400)
    choice = Choice("sq8", None, "as requested")
    opened = open_index(embeddings, Path("shop/tiny.h5"), tmp_path, choice, 0.9)
    assert opened.notes == (
        ("the stored index is of an earlier version, without a check sum: built again",)
        if version == "v1"
        else ()
    )
    assert opened.index is not None
    asked = embeddings.vectors[:5]
    exact = ExactIndex(embeddings.vectors).find(asked, 4)
    assert [list(r) for r in opened.index.find(asked, 4).rows] == [list(r) for r in exact.rows]


@pytest.mark.parametrize("version", ["v1", "v1-summed"])
def test_trials_are_gone_on_with(
    version: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("optuna")
    from analyze.head.tuning.trial_storage import open_kept

    shutil.copy(FORMATS / f"{version}-trials.db", tmp_path / "x.db")
    with open_kept(tmp_path / "x.db") as kept:
        values = [trial.value for trial in kept.trials()]
    np.testing.assert_allclose(values, [0.7256424, 0.8882097, 0.8915174], atol=1e-6)
    assert ("3 trials of" in caplog.text) == (version == "v1")
