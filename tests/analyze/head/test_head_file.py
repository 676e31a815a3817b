"""A head written and read again is itself; whatever was changed is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from analyze.head.assessment import assess_head
from analyze.head.prediction.head_file import StoredHead, read_head, write_head
from analyze.head.prediction.predictions import predict
from analyze.head.training.head_training import TrainingSpec
from analyze.head.training.network import HeadSpec
from analyze.head.training.plan import Plan
from analyze.head.training.probabilities import softmax
from extract.errors import HeadFileError, UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

Planted = tuple[np.ndarray, np.ndarray]
Make = Callable[..., EmbeddingSet]
PLAN = Plan(
    n_folds=3,
    n_shuffles=1,
    head=HeadSpec(width=8),
    training=TrainingSpec(learning_rate=0.01, epochs=20, patience=4),
    n_resamples=200,
)


@pytest.fixture(scope="module")
def stored() -> StoredHead:
    embeddings = made(0)
    return assess_head(embeddings, plan=PLAN).stored(embeddings.provenance)


def made(seed: int) -> EmbeddingSet:
    """Three classes in ten dimensions."""
    from extract.catalog.catalog import Level

    random = np.random.default_rng(seed)
    codes = np.arange(60) % 3
    centers = 3 * np.eye(3, 10)
    vectors = (centers[codes] + random.normal(size=(60, 10))).astype(np.float32)
    level = Level("kind", ("bags", "cups", "hats"), codes.astype(np.int32))
    identity = {"backbone": "tiny", "weights": {"source": "random", "seed": 0}}
    ids = tuple(f"{i:02}" for i in range(60))
    return EmbeddingSet(ids, vectors, Provenance(identity, ()), (level,))


def test_round_trip_gives_the_same_answers_bit_for_bit(stored: StoredHead, tmp_path: Path) -> None:
    path = write_head(tmp_path, stored)
    again = read_head(path)
    assert (again.classes, again.levels) == ((("bags", "cups", "hats"),), ("kind",))
    assert again.temperatures == stored.temperatures
    assert again.about["split"]["n_test"] == 0
    asked = made(1)
    np.testing.assert_array_equal(
        predict(again, asked).probabilities[0], predict(stored, asked).probabilities[0]
    )
    assert read_head(tmp_path / "head.safetensors").classes == again.classes
    said = json.loads(path.read_text())
    split = said["split"]
    training_set = sorted(split["train"] + split["validation"] + split["test"])
    assert training_set == list(asked.ids)  # every picture is taught, none is tested
    assert said["identity_sha256"] == asked.provenance.identity_sha256


def test_answers_are_those_of_the_formula(stored: StoredHead) -> None:
    asked = made(1)
    found = predict(stored, asked, abstain_below=0.9)
    weights, scaling = stored.head.weights, stored.head.scaling
    unit = asked.vectors / np.linalg.norm(asked.vectors, axis=1, keepdims=True)
    rows = (unit - scaling.mean) * scaling.factor
    hidden = np.maximum(rows @ weights["trunk.0.weight"].T + weights["trunk.0.bias"], 0)
    logits = hidden @ weights["outputs.0.weight"].T + weights["outputs.0.bias"]
    expected = softmax(logits / stored.temperatures[0])
    np.testing.assert_allclose(found.probabilities[0], expected, atol=1e-5)
    unsure = found.probabilities[0].max(axis=1) < 0.9
    assert (found.abstained == unsure).all()
    assert 0 < unsure.sum() < 60
    assert sum(found.counts().values()) == 60 - unsure.sum()
    header, *table = found.table()
    assert header[:4] == ["id", "class", "probability", "abstained"]
    for i, row in enumerate(table):
        assert row[1] == ("" if unsure[i] else stored.classes[0][logits[i].argmax()])
        assert row[2] == pytest.approx(found.probabilities[0][i].max())
        assert row[5] <= row[2]


def test_vectors_of_another_identity_are_refused(stored: StoredHead) -> None:
    from dataclasses import replace

    other = replace(made(1), provenance=Provenance({"backbone": "tiny", "weights": {}}, ()))
    with pytest.raises(UsageError, match=r"was trained on vectors of tiny .* weights differ"):
        predict(stored, other)
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="--abstain-below must be from 0 to 1"):
            predict(stored, made(1), abstain_below=wrong)


def rewrite(folder: Path, **change: Any) -> None:
    said = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps({**said, **change}))


def retensor(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the numbers, and their hash with them."""
    import hashlib

    tensors = load((folder / "head.safetensors").read_bytes())
    change(tensors)
    content = save(tensors)
    (folder / "head.safetensors").write_bytes(content)
    rewrite(folder, tensors_sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "other"}, "its format is not sosie-head"),
        ({"format_version": 2}, "format_version is 2, not 3"),
        ({"identity": {"backbone": "other"}}, "its identity is not the one"),
        ({"tensors_sha256": "0" * 64}, "not the one it was written with"),
        ({"temperature": 0}, "must have a temperature above 0"),
        ({"temperature": "hot"}, "could not convert"),
        ({"classes": [["bags", "bags", "hats"]]}, "as many different classes as logits"),
        (
            {"classes": [["bags", "cups"]]},
            r"tensor outputs.0.\w+ has shape",
        ),
        ({"n_dims": 10**9}, "n_dims is 1000000000"),
        ({"network": {"width": 10**9, "dropout": 0.5, "depth": 1}}, "width is 1000000000"),
        ({"network": {"width": 65536, "dropout": 0.5, "depth": 60}}, "too many or missing"),
        ({"network": {"breadth": 8}}, "unexpected keyword"),
        ({"unlike_above": float("inf")}, "Infinity"),
        ({"unlike_above": -1}, "unlike_above must be from 0 to 2"),
        ({"levels": []}, "classes for each of its levels"),
    ],
)
def test_what_does_not_fit_is_refused(
    stored: StoredHead, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    path = write_head(tmp_path, stored)
    rewrite(tmp_path, **change)
    with pytest.raises(HeadFileError, match=why) as caught:
        read_head(path)
    assert "\n" not in str(caught.value)
    assert "train one with python -m analyze head" in str(caught.value)


def test_numbers_that_cannot_be_are_refused(stored: StoredHead, tmp_path: Path) -> None:
    path = write_head(tmp_path, stored)

    def spoil(tensors: dict[str, np.ndarray]) -> None:
        tensors["outputs.0.bias"][1] = np.nan

    def put(tensors: dict[str, np.ndarray], tensors_of: dict[str, Any]) -> None:
        tensors["outputs.0.bias"][:] = 0
        tensors.update(tensors_of)
        for name in [name for name, own in tensors.items() if own is None]:
            del tensors[name]

    retensor(tmp_path, spoil)
    with pytest.raises(HeadFileError, match=r"tensor outputs.0.bias is not finite"):
        read_head(path)
    for change, why in (
        ({"more": np.zeros(1, np.float32)}, "tensors more are too many or missing"),
        ({"more": None, "training_vectors": np.ones((4, 9), np.float16)}, r"has shape \(4, 9\)"),
        ({"training_vectors": np.eye(4, 10, dtype=np.float32)}, "tensor training_vectors has"),
        ({"training_vectors": np.ones((4, 10), np.float16)}, "must be rows of length 1"),
        ({"training_vectors": np.ones((0, 10), np.float16)}, "must be rows of length 1"),
        ({"training_vectors": None}, "tensors training_vectors are too many or missing"),
    ):
        retensor(tmp_path, partial(put, tensors_of=change))
        with pytest.raises(HeadFileError, match=why):
            read_head(path)
    (tmp_path / "head.safetensors").write_bytes(b"no tensors")
    with pytest.raises(HeadFileError, match="not the one it was written with"):
        read_head(path)
    (tmp_path / "head.safetensors").unlink()
    with pytest.raises(UsageError, match="a head is two files side by side"):
        read_head(path)
    with pytest.raises(UsageError, match="pickles are not loaded"):
        read_head(tmp_path / "head.pkl")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"hats"', '"hets"'),
        ('"temperature": ', '"temperature": 1'),
        ('"kind"\n', '"kinds"\n'),
        ('"59"', '"58"'),  # a picture of the split: predict says which were taught
        ('"balanced"', '"balanceD"'),
    ],
)
def test_any_word_of_a_head_that_was_changed_is_refused(
    stored: StoredHead, tmp_path: Path, old: str, new: str
) -> None:
    from dataclasses import replace

    stored = replace(stored, about={**stored.about, "weighting": "balanced"})
    path = write_head(tmp_path, stored)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(HeadFileError, match="does not fit its check sum") as caught:
        read_head(path)
    assert "train one with python -m analyze head" in str(caught.value)


def test_a_head_that_another_program_spells_anew_with_the_same_values_is_read(
    stored: StoredHead, tmp_path: Path
) -> None:
    from dataclasses import replace

    path = write_head(tmp_path, replace(stored, temperatures=(2.0,)))
    said = json.loads(path.read_text())
    said["temperature"] = 2  # JavaScript writes 2.0 so
    spelled = json.dumps(dict(reversed(said.items())), ensure_ascii=False).replace("e-0", "e-")
    path.write_text(spelled, encoding="utf-8")
    again = read_head(path)
    assert (again.temperatures, again.notes) == ((2.0,), ())


def test_a_head_of_a_later_version_asks_for_an_upgrade(stored: StoredHead, tmp_path: Path) -> None:
    path = write_head(tmp_path, stored)
    rewrite(tmp_path, format_version=4, classes=None)
    with pytest.raises(HeadFileError, match=r"is of format 4, .* up to 3: upgrade sosie") as caught:
        read_head(path)
    assert "train one" not in str(caught.value)


def test_a_head_without_a_check_sum_is_used_and_says_so(stored: StoredHead, tmp_path: Path) -> None:
    path = write_head(tmp_path, stored)
    said = json.loads(path.read_text())
    del said["json_sha256"]
    path.write_text(json.dumps(said))
    again = read_head(path)
    assert again.classes == stored.classes
    (note,) = again.notes
    assert "no check sum" in note
