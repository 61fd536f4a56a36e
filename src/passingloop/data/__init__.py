"""Sources, preparing, and the order of batches: from where the examples are to tokens on disk."""
