"""An attempt's life around its processes: supervision, its end, the decision on what follows."""
