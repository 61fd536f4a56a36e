"""Verbs about the place of runs in the queue."""
