"""Verbs about the cluster: why a job waits, what would go wrong, and interactive sessions."""
