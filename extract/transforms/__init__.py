"""From a decoded picture to what a backbone reads: resize, crop, pad, normalization."""
