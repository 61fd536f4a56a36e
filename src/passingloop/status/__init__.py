"""The states of runs: from their ledgers and from what Slurm says."""
