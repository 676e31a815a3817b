"""Which stored embeddings files are meant."""
