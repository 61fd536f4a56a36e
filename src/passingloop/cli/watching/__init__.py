"""Verbs that show runs and the cluster in other programs: Prometheus and W&B."""
