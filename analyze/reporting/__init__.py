"""The report: what commands computed and stored, on one page that works offline."""
