"""Which backbone is better: paired tests and intervals over the same pictures."""
