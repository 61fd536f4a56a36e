"""Where the processes of an attempt run: this machine, or a step of a Slurm job."""
