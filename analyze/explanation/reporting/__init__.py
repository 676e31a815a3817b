"""Explanations of some pictures by some methods: asked for, scored, written, said."""
