"""Catalogue pictures compared and shown: copies, variants, near duplicates, overviews."""
