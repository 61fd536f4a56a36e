"""Verbs about the cluster: interactive sessions, and what would go wrong."""
