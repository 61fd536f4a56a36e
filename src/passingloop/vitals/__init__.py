"""Signs of life of a training process: what it does and how far it is, for a supervisor that looks for hung ones."""
