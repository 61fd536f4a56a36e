"""Verbs about the cluster and the jobs of all its users."""
