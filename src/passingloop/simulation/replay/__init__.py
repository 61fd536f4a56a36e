"""Replaying a trace on a private Slurm cluster under a policy."""
