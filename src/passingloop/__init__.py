"""passingloop: fine-tune in a GPU shell, send the same command to the Slurm queue, continue exactly where it stood."""

__version__ = "0.1.0"
