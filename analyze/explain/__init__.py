"""Why an answer is what it is: maps of the places that speak for it."""
