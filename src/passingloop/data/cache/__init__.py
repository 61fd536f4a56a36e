"""Where prepared data live: leases, digests, usage, pruning."""
