"""How pictures are split into train, validation and test."""
