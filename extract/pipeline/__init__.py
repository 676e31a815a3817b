"""One extraction run: survey, plan, loop over batches, rows written in order."""
