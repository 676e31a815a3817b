"""FAISS indexes, exact and approximate: kinds, choice, recall, stored files."""
