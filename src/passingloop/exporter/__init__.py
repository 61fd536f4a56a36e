"""Figures of the cluster and of its use for Prometheus, under names that stay."""
