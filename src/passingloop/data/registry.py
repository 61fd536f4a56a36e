"""The source that the configuration chooses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passingloop.config.data import AnySource, FilesData, Fingerprint, GcsData, HubData, SqlData, StdlibData
from passingloop.config.settings import Task
from passingloop.data.source import Source
from passingloop.errors import PassingloopError


def open_source(config: AnySource, task: Task, cache_root: Path, kept: Fingerprint | None = None) -> Source:
    """The source behind `data=…`, ready to be read. Each is imported only when it is chosen.

    Args:
        cache_root: where a source keeps what it has fetched.
        kept: what the run began with, if it has begun: a source that can still give exactly that does.

    Raises:
        DataError: something that the configuration names is not there.
        ConfigError: a setting cannot be used.
        MissingError: a driver, a server or a package is not there.
    """
    match config:
        case FilesData():
            from passingloop.data.files.source import Files

            return Files(config, task, cache_root)
        case GcsData():
            from passingloop.data.gcs.source import Gcs

            return Gcs(config, task, cache_root)
        case HubData():
            from passingloop.data.hub.source import Hub

            return Hub(config, task, cache_root, kept)
        case SqlData():
            from passingloop.data.sql.source import Sql

            return Sql(config, task, cache_root, kept)
        case StdlibData():
            from passingloop.data.stdlib.source import StdlibDocs

            return StdlibDocs(task)


@contextmanager
def naming(source: str) -> Iterator[None]:
    """An error in here is one of that `source` of a mix, and says so. Data from one place only have no name.

    Raises:
        PassingloopError: what is raised within.
    """
    try:
        yield
    except PassingloopError as problem:
        if not source:
            raise
        raise type(problem)(f"data.sources.{source}: {problem}") from problem
