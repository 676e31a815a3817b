"""Stored heads, and what they predict."""
