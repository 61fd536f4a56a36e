"""What follows from the end of an attempt: by cause, budget and progress. Pure."""
