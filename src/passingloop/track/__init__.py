"""Output of a run: the metrics file, Weights & Biases, logs, and the terminal."""
