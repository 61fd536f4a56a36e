"""What a cluster has, and what its users may use of it: nodes, partitions, accounts, QOS and their limits."""
