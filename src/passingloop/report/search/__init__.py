"""How a sweep stands: its rungs, its points, what it has cost, as a page for terminals, as JSON and as HTML. Pure."""
