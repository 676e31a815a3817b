"""What figures and run folders share: palette, style, contact sheets, run records."""
