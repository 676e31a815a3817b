"""Training of heads: networks, what they are given, and what is wanted of them."""
