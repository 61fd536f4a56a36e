"""Verbs about runs: how they stand, their logs, and what is done with them."""
