"""Answers of Slurm that several commands use, so that slurmctld is asked only every few seconds."""
