"""Explanations of some pictures by some methods: computed, scored, written, printed."""
