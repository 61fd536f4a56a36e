"""What a policy is to reach on a trace: the section `objectives` of its file."""
