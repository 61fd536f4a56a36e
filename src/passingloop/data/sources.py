"""The source that the configuration chooses."""

from __future__ import annotations

from passingloop.config.data import AnySource, FilesData, StdlibData
from passingloop.config.settings import Task
from passingloop.data.source import Source


def open_source(config: AnySource, task: Task) -> Source:
    """The source behind `data=…`, ready to be read. Each is imported only when it is chosen.

    Raises:
        DataError: something that the configuration names is not there.
    """
    match config:
        case FilesData():
            from passingloop.data.files import Files

            return Files(config, task)
        case StdlibData():
            from passingloop.data.stdlib_docs import StdlibDocs

            return StdlibDocs(task)
