"""The cache of prepared data: locks, digests of files, the index, the time of last use, pruning."""
