"""Which stored embeddings files a command means."""
