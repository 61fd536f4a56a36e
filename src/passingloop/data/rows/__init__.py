"""What every source gives: examples as rows of one schema, and the faults that rows can have."""
