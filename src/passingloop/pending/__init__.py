"""Why a job waits: from evidence, which `passingloop.slurm.waiting` reads, to an answer. Pure."""
