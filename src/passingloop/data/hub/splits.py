"""Parses splits in the syntax of `datasets`: `train`, `train[:10%]`, `train[100:-100]`, `train+test`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from passingloop.errors import ConfigError

EDGE = r"(-?\d+)(%?)"
SLICE = re.compile(rf"(\w+(?:\.\w+)*)(?:\[(?:{EDGE})?:(?:{EDGE})?\])?")


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows of a split from `start` to before `stop`, as Python's slices; in rows or percent."""

    split: str
    start: int | None = None
    stop: int | None = None
    percent: bool = False

    @property
    def is_relative(self) -> bool:
        """Whether the number of rows of the split is needed to find the slice."""
        return self.percent or any(edge is not None and edge < 0 for edge in (self.start, self.stop))

    def rows(self, total: int | None) -> tuple[int, int | None]:
        """The first row, and the one after the last, None for the end. `total` is needed if `is_relative`."""
        if not self.is_relative:
            return self.start or 0, self.stop
        assert total is not None
        # Rounded to the nearest row, as in `datasets`.
        edges = [round(edge * total / 100) if self.percent and edge else edge for edge in (self.start, self.stop)]
        first, end, _ = slice(*edges).indices(total)
        return first, end


def parse_slices(key: str, spec: str) -> tuple[Slice, ...]:
    """The slices that are joined by `+` in `spec`.

    Args:
        key: the setting for messages, such as ``data.train``.

    Raises:
        ConfigError: the syntax is wrong, or a slice has no rows.
    """
    return tuple(_slice(key, spec, part.strip()) for part in spec.split("+"))


def _slice(key: str, spec: str, part: str) -> Slice:
    match = SLICE.fullmatch(part)
    if not match:
        raise ConfigError(
            f"You set {key}={spec}, but {part!r} is no split. Write the name of one, or a slice of it such as "
            "train[:1000], train[:10%] or train[90%:]; join several with +."
        )
    split, start, start_unit, stop, stop_unit = match.groups()
    units = {unit for edge, unit in ((start, start_unit), (stop, stop_unit)) if edge}
    if len(units) > 1:
        raise ConfigError(f"You set {key}={spec}, but {part} mixes rows and percent. Write both ends in one of them.")
    first, end = (None if edge is None else int(edge) for edge in (start, stop))
    percent = units == {"%"}
    if percent and any(edge is not None and abs(edge) > 100 for edge in (first, end)):
        raise ConfigError(f"You set {key}={spec}, but {part} goes beyond 100%.")
    if end == 0 or (first is not None and end is not None and (first < 0) == (end < 0) and first >= end):
        raise ConfigError(f"You set {key}={spec}, but {part} takes no rows: it ends where it begins, or before.")
    return Slice(split, first, end, percent)
