"""Commands that need one label a picture, where a column lists several: as without labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from analyze.clustering.analysis import analyze_embeddings
from analyze.comparison.ranking.ranking import rank
from analyze.measures.alignment import align
from analyze.presentation.run_record import run_record
from analyze.reduction.concatenation import join_embeddings
from extract.catalog.multi_label import MultiLabel
from extract.errors import UsageError
from extract.storage.embeddings import EmbeddingSet, Provenance

Make = Callable[..., EmbeddingSet]
SAID = r"column kind lists several.*python -m analyze head"


@pytest.fixture
def listed(embeddings_of: Make) -> EmbeddingSet:
    vectors = np.random.default_rng(0).normal(size=(60, 8))
    kinds = MultiLabel.from_values("kind", [("a", "b") if i % 3 else () for i in range(60)])
    return replace(embeddings_of(vectors), multi_labels=(kinds,))


def test_clusters_are_as_without_labels_and_say_why(
    listed: EmbeddingSet, embeddings_of: Make
) -> None:
    found = analyze_embeddings(listed, n_clusters=3)
    plain = analyze_embeddings(embeddings_of(listed.vectors), n_clusters=3)
    assert {**found.to_json(), "notes": 0} == {**plain.to_json(), "notes": 0}
    assert plain.notes == ("no labels: scores against classes are left out",)
    (said,) = found.notes
    assert said.startswith("no level of one label a picture (column kind lists several")


def test_what_cannot_go_without_labels_names_the_column(listed: EmbeddingSet) -> None:
    with pytest.raises(UsageError, match=f"{SAID}.*--clusters N"):
        analyze_embeddings(listed)
    with pytest.raises(UsageError, match=f"no level 'kind'.*{SAID}"):
        analyze_embeddings(listed, n_clusters=2, level="kind")
    with pytest.raises(UsageError, match=SAID):
        align([listed, listed])
    with pytest.raises(UsageError, match=f"{SAID}.*there is no knn_5"):
        rank([listed], metric="knn_5")


def test_ranking_takes_the_surrogate_and_says_so(listed: EmbeddingSet) -> None:
    found = rank([listed], metric="silhouette", n_resamples=100)
    assert found.surrogate
    assert any("column kind lists several" in note for note in found.notes)


def test_joined_and_recorded_labels_are_those_of_the_files(listed: EmbeddingSet) -> None:
    other = replace(listed, provenance=Provenance({"backbone": "other"}, ()), multi_labels=())
    joined, _ = join_embeddings([other, listed])
    assert joined.multi_labels[0].values() == listed.multi_labels[0].values()
    one, none = (run_record("x", each)["inputs"]["labels_sha256"] for each in (listed, other))
    assert one != none
