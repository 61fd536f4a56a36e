"""Starting runs: here in the shell."""
