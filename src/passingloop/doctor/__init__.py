"""What would go wrong for a user on a cluster: evidence is gathered, and pure functions make findings of it."""
