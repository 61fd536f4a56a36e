"""Examples from files."""
