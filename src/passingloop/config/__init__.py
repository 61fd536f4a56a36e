"""Typed, frozen, validated settings: YAML in ``config/`` holds choices, the classes here types, units and checks."""
