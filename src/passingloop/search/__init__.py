"""Searches: sweeps in which only the better points train to the end, and the decisions about that."""
