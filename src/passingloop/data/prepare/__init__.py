"""Source → checked rows → tokens on disk."""
