"""Settings that libraries need on this machine: processor, memory allocation."""
