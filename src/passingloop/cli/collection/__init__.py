"""Verbs about many runs: finding, marking, putting away."""
