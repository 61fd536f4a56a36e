"""Where log messages go: ours to the console, everything worth keeping to the attempt's log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from passingloop.track.terminal import say

OURS = "passingloop"


@contextmanager
def log_to(console: Console | None, file: Path) -> Iterator[None]:
    """Within it, the logger `passingloop` writes from INFO on to `console`, if any, and to `file` from DEBUG on.

    Libraries and Python's warnings write to `file` only, from WARNING on, with time (UTC), level and logger. That
    goes for libraries imported by then: transformers and Lightning attach console handlers of their own.

    Raises:
        OSError: `file` cannot be opened for appending.
    """
    ours, root = logging.getLogger(OURS), logging.getLogger()
    on_console = _ConsoleHandler(console) if console else logging.NullHandler()
    in_file = _file_handler(file)
    level = ours.level
    taken_over = _take_over_libraries()
    ours.addHandler(on_console)
    ours.setLevel(logging.DEBUG)
    root.addHandler(in_file)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(in_file)
        ours.removeHandler(on_console)
        ours.setLevel(level)
        for logger, handler, propagates in taken_over:
            logger.addHandler(handler)
            logger.propagate = propagates
        in_file.close()


class _ConsoleHandler(logging.Handler):
    """Messages without time and place; a traceback is in the file."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        words = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        say(self._console, words + record.getMessage())


def _file_handler(file: Path) -> logging.FileHandler:
    handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    handler.setFormatter(form)
    handler.addFilter(lambda record: _is_ours(record.name) or record.levelno >= logging.WARNING)
    return handler


def _is_ours(name: str) -> bool:
    return name == OURS or name.startswith(OURS + ".")


def _take_over_libraries() -> list[tuple[logging.Logger, logging.Handler, bool]]:
    """Make loggers that write to the terminal pass their messages on instead; what they were before."""
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
