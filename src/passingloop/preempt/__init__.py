"""Requests to stop a run: a signal sets a flag, which the ranks read at a step boundary."""
