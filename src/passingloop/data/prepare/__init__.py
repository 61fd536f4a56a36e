"""Preparation of data: reads a source, checks its rows, and writes their tokens to disk."""
