"""The look-alike service: a page and REST over stored embeddings."""
