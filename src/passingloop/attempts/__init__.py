"""Around the processes of an attempt: supervision, its end, the decision on what follows."""
