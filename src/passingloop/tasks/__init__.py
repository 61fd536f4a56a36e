"""The learning tasks, one file for each: its columns, encoding, labels, head, loss and metrics."""
