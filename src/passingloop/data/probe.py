"""A look at databases, buckets and hubs in a process of its own: where runs are submitted, no driver is loaded.

A driver that hangs or crashes takes that process with it, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.config.build import section, section_classes, to_plain
from passingloop.config.data import AnySource
from passingloop.config.settings import Task
from passingloop.data.registry import naming, open_source
from passingloop.errors import ConfigError, DataError, MissingError, PassingloopError

SECONDS = 30.0
"""What each source gets; all have a limit of their own that is lower."""

_ERRORS: dict[str, type[PassingloopError]] = {cls.__name__: cls for cls in (ConfigError, DataError, MissingError)}


@dataclass(frozen=True, slots=True)
class Asked:
    """A source to look at."""

    name: str
    """Of the source in a mix; else empty."""
    data: AnySource
    task: Task
    cache_root: Path


def glance(asked: Sequence[Asked]) -> list[int | None]:
    """See that what the sources name is there; their sizes in bytes, None where that cannot be told.

    Raises:
        ConfigError, DataError, MissingError: as `passingloop.data.source.Source.look`; also if a driver does not
            answer, or crashes.
    """
    if not asked:
        return []
    told = [to_plain(one) for one in asked]
    kinds = " and ".join(dict.fromkeys(f"data={one.data.source}" for one in asked))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            timeout=SECONDS * len(asked),
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise MissingError(
            f"{kinds}: no answer within {problem.timeout:.0f} s. Is the server reachable from here?"
        ) from None
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for answer in answers:
        if "error" in answer:
            raise _ERRORS[answer["error"]](answer["message"])
    if len(answers) < len(asked):
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise MissingError(
            f"{kinds}: the process that looks at the data ended with code {done.returncode}. {last}".strip()
        )
    return [answer["size"] for answer in answers]


def _look(asked: dict[str, Any]) -> dict[str, Any]:
    data = section(section_classes(AnySource), asked["data"], "data")
    try:
        with naming(asked["name"]):
            source = open_source(data, asked["task"], Path(asked["cache_root"]))
            source.look()
            return {"size": source.size()}
    except tuple(_ERRORS.values()) as problem:
        kind = next(name for name, cls in _ERRORS.items() if isinstance(problem, cls))
        return {"error": kind, "message": str(problem)}


if __name__ == "__main__":
    for one in json.load(sys.stdin):
        print(json.dumps(_look(one)), flush=True)
