"""The report on what GPUs were used for, from records of jobs and runs. No I/O."""
