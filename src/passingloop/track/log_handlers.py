"""Log handlers: messages of passingloop go to the console, and those with warnings of libraries to the log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from passingloop.track.console import say

PACKAGE_LOGGER = "passingloop"


@contextmanager
def route_logs(console: Console | None, file: Path) -> Iterator[None]:
    """A context in which the logger `passingloop` writes to `console`, if any, from INFO on, and to `file` from DEBUG
    on.

    Libraries and Python's warnings write to `file` only, from WARNING on, with time (UTC), level and logger. This
    applies to libraries that are imported already: transformers and Lightning have console handlers of their own.

    Raises:
        OSError: `file` cannot be opened for appending.
    """
    package_logger, root_logger = logging.getLogger(PACKAGE_LOGGER), logging.getLogger()
    console_handler = _ConsoleHandler(console) if console else logging.NullHandler()
    file_handler = _file_handler(file)
    level = package_logger.level
    library_handlers = _detach_library_handlers()
    package_logger.addHandler(console_handler)
    package_logger.setLevel(logging.DEBUG)
    root_logger.addHandler(file_handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root_logger.removeHandler(file_handler)
        package_logger.removeHandler(console_handler)
        package_logger.setLevel(level)
        for logger, handler, propagates in library_handlers:
            logger.addHandler(handler)
            logger.propagate = propagates
        with suppress(OSError):  # the disk is full
            file_handler.close()


class _ConsoleHandler(logging.Handler):
    """Writes messages without time and logger. Tracebacks go to the file only."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        say(self._console, prefix + record.getMessage())


class _FileHandler(logging.FileHandler):
    """Leaves out what cannot be written, because the disk is full; logging would print a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging calls it so
        pass


def _file_handler(file: Path) -> logging.FileHandler:
    handler = _FileHandler(file, encoding="utf-8", errors="backslashreplace")
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(lambda record: _is_package_logger(record.name) or record.levelno >= logging.WARNING)
    return handler


def _is_package_logger(name: str) -> bool:
    return name == PACKAGE_LOGGER or name.startswith(PACKAGE_LOGGER + ".")


def _detach_library_handlers() -> list[tuple[logging.Logger, logging.Handler, bool]]:
    """Remove handlers that write to the terminal, so that messages reach the root logger.

    Returns the loggers with their handlers and their former `propagate`.
    """
    known = logging.getLogger().manager.loggerDict.values()
    loggers = [logging.getLogger(), *(logger for logger in known if isinstance(logger, logging.Logger))]
    handlers = [
        (logger, handler, logger.propagate)
        for logger in loggers
        for handler in logger.handlers
        if _writes_to_terminal(handler)
    ]
    for logger, handler, _ in handlers:
        logger.removeHandler(handler)
        logger.propagate = True
    return handlers


def _writes_to_terminal(handler: logging.Handler) -> bool:
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return isinstance(handler, logging.StreamHandler) and handler.stream in streams
