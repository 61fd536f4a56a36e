"""The input of training: tokens on disk, and which examples make up each step."""
