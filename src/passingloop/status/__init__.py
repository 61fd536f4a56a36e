"""How runs stand: their ledgers held against what Slurm says."""
