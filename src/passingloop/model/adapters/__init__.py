"""Adapters: low-rank factors beside frozen weights, how these are held, and what memory that takes."""
