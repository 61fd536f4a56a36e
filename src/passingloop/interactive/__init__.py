"""Interactive sessions: a GPU shell, ssh into it, and notebooks, each in a job that ends when it is not used."""
