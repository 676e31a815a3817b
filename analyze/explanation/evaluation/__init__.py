"""Which explanation method is to be believed: methods compared on the same pictures."""
