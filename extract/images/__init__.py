"""Decoding pictures to upright 8-bit RGB within limits of memory, and augmenting them."""
