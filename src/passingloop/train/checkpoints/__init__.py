"""Checkpoints: their format, what they hold, when and how they are written."""
