"""Look-alikes of a picture: search, filters, diversity, and how good retrieval is."""
