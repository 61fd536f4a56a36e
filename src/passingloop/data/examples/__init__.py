"""What training reads: tokens, and the order of batches."""
