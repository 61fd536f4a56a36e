"""What a policy did with a trace, as figures, and the terminal's text and the JSON of them. No I/O."""
