"""Figures of tested heads."""
