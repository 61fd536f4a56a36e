"""How a training process starts: quickly, by what it imports, and safely, by where compiled code is kept."""
