"""What has been measured once on a kind of device, so that it is not measured again.

Figures are looked up by all that they depend on. The run has a file of its own with those that it uses: its later
attempts go by the same figures, and so round their sums in the same way, whatever becomes of the cache.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from passingloop import files

Key = Mapping[str, str | int]
"""What figures depend on; `what` says what they are of."""

Figures = dict[str, float]
"""Numbers by name. Whole numbers stay whole."""


class Measurements:
    """The figures of a run, and those that the cache has from other runs.

    Args:
        own: the run's file.
    """

    def __init__(self, own: Path, cache_root: Path) -> None:
        self._own, self._shared = own, cache_root / "measured"

    def find(self, key: Key) -> Figures | None:
        """What has been kept for `key`: by an earlier attempt of the run, else by another run. It is the run's then."""
        name = _name(key)
        figures = _figures(_read(self._own).get(name), key)
        if figures is None:
            figures = _figures(_read(self._shared / f"{name}.json"), key)
            if figures is not None:
                self.keep(key, figures, for_others=False)
        return figures

    def keep(self, key: Key, figures: Figures, *, for_others: bool = True) -> None:
        """Store `figures`. Where that fails, for want of space or permission, they are measured again next time.

        Args:
            for_others: also in the cache.
        """
        entry = {"key": dict(key), "figures": figures}
        with suppress(OSError):
            files.write_json(self._own, _read(self._own) | {_name(key): entry})
        if for_others:
            with suppress(OSError):
                self._shared.mkdir(parents=True, exist_ok=True)
                files.write_text(self._shared / f"{_name(key)}.json", json.dumps(entry), durable=False)


def _name(key: Key) -> str:
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(files.read_others_text(path))
    except (OSError, ValueError, RecursionError):  # others may write the cache
        return {}
    return content if isinstance(content, dict) else {}


def _figures(entry: Any, key: Key) -> Figures | None:
    """The figures of an entry, if it is one for `key` and has nothing but numbers that a float can hold."""
    if not isinstance(entry, dict) or entry.get("key") != dict(key):
        return None
    figures = entry.get("figures")
    if not isinstance(figures, dict):
        return None
    sound = all(isinstance(value, int | float) and abs(value) <= sys.float_info.max for value in figures.values())
    return figures if sound else None
