"""Traces: jobs of a real or a described cluster, read from a file, from Slurm's accounting, or generated."""
