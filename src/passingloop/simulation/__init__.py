"""A policy tried on a trace: the jobs of the trace, their replay on a private Slurm, and what it shows."""
