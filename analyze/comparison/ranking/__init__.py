"""Which backbone suits a catalogue: criteria, with and without labels, and a ranking."""
