"""Records in, tables and pages out; no I/O of its own."""
