"""The audit of a catalogue: copies, bad pictures, likely label errors, outliers, and what to do."""
