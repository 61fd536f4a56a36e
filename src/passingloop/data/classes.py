"""The order of classes, which gives each its number."""

from __future__ import annotations

from collections.abc import Collection


def in_order(names: Collection[str]) -> list[str]:
    """The labels in order: by value where all are whole numbers, else as text."""
    whole = all(name.removeprefix("-").isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name), name) if whole else name)
