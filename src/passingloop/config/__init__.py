"""Typed, frozen, validated settings: the YAML in ``config/`` holds choices, the classes here types, units and checks."""
