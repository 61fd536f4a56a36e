"""The words of ``--trace``: where a trace comes from, and what is done with it.

    SOURCE[,KEY=VALUE]…

SOURCE is a CSV file. All keys are optional:

    days=1, first_day=2     only so many days of it, from this one on (1 is the first)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from passingloop.errors import ConfigError
from passingloop.simulation.traces.csv_trace import read_csv_trace
from passingloop.simulation.traces.trace import DAY, Trace, window

WORDS = re.compile(r"(?P<source>.*?)(?P<options>(?:,[a-z_.]+=[^,]*)*)")

KEYS = ("days", "first_day")


def read_trace(words: str) -> Trace:
    """The trace that ``--trace`` asks for.

    Raises:
        ConfigError: a key or a value is wrong.
        DataError: the source is wrong.
    """
    source, options = _split(words)
    return _part(read_csv_trace(Path(source)), options)


def _split(words: str) -> tuple[str, dict[str, str]]:
    match = WORDS.fullmatch(words)
    assert match  # the source may be any text
    pairs = [pair.split("=", 1) for pair in match["options"].split(",")[1:]]
    options = dict(pairs)
    for key in options:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(KEYS)}."
            raise ConfigError(f"--trace {words}: there is no {key}=. {hint}")
    return match["source"], options


def _part(trace: Trace, options: Mapping[str, str]) -> Trace:
    if not {"days", "first_day"} & {*options}:
        return trace
    begin = DAY * (_number(options, "first_day", 1) - 1)
    return window(trace, begin, DAY * _number(options, "days", (trace.length_s - begin) / DAY))


def _number(options: Mapping[str, str], key: str, default: float) -> float:
    try:
        return float(options.get(key, default))
    except ValueError:
        raise ConfigError(f"--trace: {key}={options[key]} is no number.") from None
