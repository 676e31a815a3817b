"""The commands ``head`` and ``predict``."""
