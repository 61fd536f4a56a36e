"""The data of runs are checked before these start or are submitted: that they are there, and how large they are.

Databases, buckets and hubs are asked in a process of its own, so that no driver is loaded where runs are submitted. A
driver that hangs or crashes takes that process with it, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passingloop.config.build import section, to_plain
from passingloop.config.data import DataConfig, errors_named, named_sources
from passingloop.config.settings import RunConfig, Task
from passingloop.data.source import open_source
from passingloop.errors import ConfigError, DataError, MissingError, PassingloopError

SECONDS = 30.0
"""What each source gets; all have a limit of their own that is lower."""

_ERRORS: dict[str, type[PassingloopError]] = {cls.__name__: cls for cls in (ConfigError, DataError, MissingError)}


@dataclass(frozen=True, slots=True)
class Subject:
    """A source to check."""

    name: str
    """Of the source in a mix; else empty."""
    data: DataConfig
    task: Task
    cache_root: Path

    def size(self) -> int | None:
        """Check that what the source names is there; its bytes, None where that cannot be told.

        Raises:
            ConfigError, DataError, MissingError: as `passingloop.data.source.Source.check`.
        """
        with errors_named(self.name):
            source = open_source(self.data, self.task, self.cache_root)
            source.check()
            return source.size()


def check_data(configs: Sequence[RunConfig]) -> Mapping[DataConfig, int | None]:
    """Check the files, tables and columns of all runs, those of several runs once.

    Returns about how many bytes the sources have that a process of their own has checked, None where that cannot be
    told; by what `DataConfig.unlimited` makes of the sources' settings.

    Raises:
        ConfigError, DataError, MissingError: as `passingloop.data.source.Source.check`; also if a driver does not
            answer, or crashes.
    """
    subjects = dict.fromkeys(
        Subject(name, data.unlimited(), config.task, config.cache_root)
        for config in configs
        for name, data in named_sources(config.data).items()
    )
    for subject in subjects:
        if subject.data.CHECKED == "here":
            subject.size()
    remote = [subject for subject in subjects if subject.data.CHECKED == "in a process"]
    return {subject.data: size for subject, size in zip(remote, _sizes(remote), strict=True)}


def _sizes(subjects: Sequence[Subject]) -> list[int | None]:
    """What `Subject.size` returns or raises in a process of its own, where this module is `__main__`."""
    if not subjects:
        return []
    kinds = " and ".join(dict.fromkeys(f"data={subject.data.source}" for subject in subjects))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps([to_plain(subject) for subject in subjects]),
            capture_output=True,
            text=True,
            timeout=SECONDS * len(subjects),
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
    if len(answers) < len(subjects):
        last_line = (done.stderr.strip().splitlines() or [""])[-1]
        raise MissingError(
            f"{kinds}: the process that looks at the data ended with code {done.returncode}. {last_line}".strip()
        )
    return [answer["size"] for answer in answers]


def _answer(plain: dict[str, Any]) -> dict[str, Any]:
    """The size or the error of the `Subject` that is `plain`, as JSON."""
    data = section(DataConfig, plain["data"], "data")
    try:
        return {"size": Subject(plain["name"], data, plain["task"], Path(plain["cache_root"])).size()}
    except tuple(_ERRORS.values()) as problem:
        kind = next(name for name, cls in _ERRORS.items() if isinstance(problem, cls))
        return {"error": kind, "message": str(problem)}


if __name__ == "__main__":
    for each in json.load(sys.stdin):
        print(json.dumps(_answer(each)), flush=True)
