"""Examples from the running Python's own standard library."""
