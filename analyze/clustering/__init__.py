"""Clusters: methods, seeds, the number of clusters, internal scores, one whole analysis."""
