"""What a user types in an editor: mypy, which reads this file too, sees types and not Any."""

from typing import assert_type

import numpy as np

from analyze import analyze_embeddings
from analyze.clustering.result import Analysis
from extract import EmbeddingSet, read_embeddings

embeddings = read_embeddings("cache/embeddings/demo/efficientnet_lite0-30a92371.h5")
assert_type(embeddings, EmbeddingSet)
assert_type(embeddings.vectors, np.ndarray)
assert_type(analyze_embeddings(embeddings), Analysis)
