"""Shapley values: what pixels or patches add to an answer, and their totals."""
