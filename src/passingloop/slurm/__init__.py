"""The only code that calls Slurm's commands: text in, dataclasses out."""
