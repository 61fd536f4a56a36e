"""What a run tells: metrics as a file, to Weights & Biases, and to the person at the terminal."""
