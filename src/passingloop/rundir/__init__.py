"""Reads and writes the files of a run directory, and of submissions. File names and formats are known here only."""
