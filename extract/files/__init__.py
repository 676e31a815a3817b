"""Reading and writing files that may be damaged, hostile, locked or on a full disk."""
