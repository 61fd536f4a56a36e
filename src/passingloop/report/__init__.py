"""Formats records as tables and pages. No I/O."""
