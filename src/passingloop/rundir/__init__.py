"""The only code that knows the names of the files inside a run directory, and how they are written."""
