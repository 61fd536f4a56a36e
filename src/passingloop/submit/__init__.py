"""Handing runs to Slurm: the request, the batch script, the jobs that prepare data."""
