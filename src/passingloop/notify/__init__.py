"""Telling people how their runs go: what is worth telling, in which words, and by which way."""
