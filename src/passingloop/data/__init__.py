"""Data: sources of examples, their preparation to tokens on disk, the cache, and the order of examples."""
