"""A whole Slurm cluster on one machine, for demos and tests: the parts of scripts/dev-slurm."""
