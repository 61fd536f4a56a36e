"""The terminal demo: what is typed, the terminal it is typed into, the recording, and its drawing."""
