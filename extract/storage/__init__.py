"""Embeddings files: rows, labels and provenance in HDF5, their layout, reading, export."""
