"""How a training process starts quickly: what it imports, and when."""
