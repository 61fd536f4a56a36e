"""The states of runs, from their ledgers and from Slurm."""
