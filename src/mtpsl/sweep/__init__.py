"""Matrices of runs: methods x label regimes x seeds, trained where they are missing and shown as one table."""
