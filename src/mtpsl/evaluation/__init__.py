"""Scores of a network, and the comparison of runs."""
