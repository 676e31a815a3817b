"""Embeddings for other tools, and vectors of theirs."""
