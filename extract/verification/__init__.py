"""Checking that a stored embeddings file is right: checks, evidence, recomputation."""
