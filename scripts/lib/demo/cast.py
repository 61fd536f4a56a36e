"""A recording in asciinema's format: asciicast v2, https://docs.asciinema.org/manual/asciicast/v2/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.terminal import COLUMNS, ROWS

LONGEST_PAUSE = 1.5
LONGEST_LINE = 14.0
"""Seconds. What a line shows over a longer time is played faster, so that nobody has to watch a computer work."""

Output = Sequence[tuple[float, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """A recording: seconds since the start, and what was shown then."""

    output: Output
    title: str = ""
    width: int = COLUMNS
    height: int = ROWS

    def write(self, path: Path) -> None:
        """Write the recording."""
        header = {"version": 2, "width": self.width, "height": self.height, "title": self.title}
        lines = [json.dumps(header | {"env": {"TERM": "xterm-256color", "SHELL": "/bin/bash"}})]
        lines += [json.dumps([round(at, 3), "o", text], ensure_ascii=False) for at, text in self.output]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_cast(path: Path) -> Cast:
    """The recording in a file."""
    header, *events = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    output = [(at, text) for at, kind, text in events if kind == "o"]
    return Cast(output=output, title=header["title"], width=header["width"], height=header["height"])


def shortened(output: Output, ends: Sequence[int]) -> list[tuple[float, str]]:
    """The output with pauses of at most `LONGEST_PAUSE`, and at most `LONGEST_LINE` for each typed line.

    Args:
        output: seconds since the start, and what was shown then.
        ends: where what belongs to each line ends.
    """
    now, before, made, start = 0.0, 0.0, [], 0
    for end in ends:
        pauses = []
        for at, _ in output[start:end]:
            pauses.append(min(at - before, LONGEST_PAUSE))
            before = at
        faster = max(1.0, sum(pauses) / LONGEST_LINE)
        for (_, text), pause in zip(output[start:end], pauses, strict=True):
            now += pause / faster
            made.append((now, text))
        start = end
    return made
