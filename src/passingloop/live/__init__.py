"""``passingloop top``: what GPUs and runs do now. What is read, a model of it, and a terminal that shows it."""
