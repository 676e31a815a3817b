"""Vectors into other vectors: PCA, t-SNE, UMAP, concatenation; what is kept between runs."""
