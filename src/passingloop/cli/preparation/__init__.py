"""The verb `prepare`, and what it does with the cache of prepared data."""
