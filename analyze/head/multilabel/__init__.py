"""Heads for pictures that have several labels."""
