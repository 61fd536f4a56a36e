"""All calls of Slurm's commands. Their output is parsed into dataclasses here."""
