"""Pictures as input of scikit-learn; absolute imports of ``sklearn`` are scikit-learn's own."""

from extract.sklearn.extractor import EmbeddingExtractor

__all__ = ["EmbeddingExtractor"]
