"""The cluster's policy as one file: what it says, what the cluster has, and the commands that make them the same."""
