"""What differs between two runs, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def page(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines: the two runs, a setting each with its two values, and the code and data.

    Args:
        found: as ``passingloop diff --json`` prints it.
    """
    yield f"A  {found['a']}"
    yield f"B  {found['b']}"
    longest = max(map(len, found["config"]), default=0)
    for key, (a, b) in found["config"].items():
        yield f"{key.ljust(longest)}  {_shown(a)} -> {_shown(b)}"
    if not found["config"]:
        yield "The settings are the same."
    if found["code"]:
        yield "The code differs: run.json names both versions."
    if found["data"] is None:
        yield "Whether the data are the same is not known before both runs have begun."
    elif found["data"]:
        yield "The content of the data differs."


def _shown(value: Any) -> str:
    """As it would be typed."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
