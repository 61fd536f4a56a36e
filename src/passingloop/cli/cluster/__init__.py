"""Verbs about the cluster: why a job waits, interactive sessions, what would go wrong."""
