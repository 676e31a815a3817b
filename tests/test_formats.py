"""Files written by released versions are read for ever; none of them is ever written anew."""

from __future__ import annotations

import numpy as np
from small_catalogs import PROJECT

from extract.embeddings_file import read_embeddings, read_table

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
