"""What can be learned, one file per task: columns, encoding, labels, head, loss, metrics."""
