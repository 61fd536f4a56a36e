"""The disk space of runs, and what makes it free: archiving and deleting runs."""
