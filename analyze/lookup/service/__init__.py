"""The served catalogue: files, their indexes and maps, reloads, and searches."""
