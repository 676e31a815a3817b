"""Kinds of labels that a head can learn: one a picture, levels of a tree, several a picture."""
