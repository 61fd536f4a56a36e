"""What GPUs were used for: reads Slurm's accounting and run directories, and joins them."""
