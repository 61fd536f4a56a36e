"""Requests to stop: signals set a flag, and the ranks agree on it at a step boundary."""
