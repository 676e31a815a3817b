"""The served catalogue: files, their indexes and maps, reloads, and what is asked of them."""
