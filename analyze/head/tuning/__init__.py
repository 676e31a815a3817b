"""Tuning of heads by Optuna: what is searched, the trials, and where they are kept."""
