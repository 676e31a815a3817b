"""What is measured of labels, clusters and vectors: agreement, probes, CKA, intervals."""
