"""What is known of tested heads: scores, calibration, likely label errors, tables."""
