"""What corrupted pictures do to a backbone's vectors, and to the answers that rest on them."""
