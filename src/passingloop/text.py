"""Messages to the user, on stderr; stdout is for a command's data. That neither can be written ends nothing."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from passingloop.errors import Interrupted, PassingloopError

FULL = {errno.ENOSPC: "", errno.EDQUOT: "", errno.EFBIG: ". `ulimit -f` shows the limit"}
"""Errors of a disk or a limit that has no room for a file, and a hint."""


class LastingStream:
    """`stream`, except that an error while it is written is kept in `error` and not raised.

    A run is not to end because its terminal was closed, the reader of its pipe has ended, or the disk is full on which
    its output is kept.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: Exception | None = None
        """The last one."""

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: it is closed, or cannot encode the text
            self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(text: str) -> None:
    """Print a line to stderr, unbuffered."""
    print(text, file=sys.stderr, flush=True)


def print_path(path: object) -> None:
    """Print a path to stdout; to stderr, if stdout cannot be written."""
    print(path, flush=True)
    if problem := _stdout_error():
        say(f"{path} is not on stdout, which cannot be written: {problem}.")


def data_exit_code() -> int:
    """0; or 1 with a message if what was printed to stdout could not be written, except that its reader has ended."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    if error is None or isinstance(error, BrokenPipeError):
        return 0
    say(f"{_error_label()} stdout cannot be written: {_stdout_error()}.")
    return PassingloopError.exit_code


def exit_code(command: Callable[[], int]) -> int:
    """Run `command` with streams that last; returns its exit code. Of a PassingloopError only the message is printed.

    Raises:
        PassingloopError: with PASSINGLOOP_TRACEBACK=1 in the environment, so that Python prints the traceback.
    """
    with _lasting_streams():
        return _exit_code(command)


def _exit_code(command: Callable[[], int]) -> int:
    try:
        return command()
    except PassingloopError as error:
        if os.environ.get("PASSINGLOOP_TRACEBACK") == "1":
            raise
        say(f"{_error_label()} {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say(f"{_error_label()} Interrupted.")
        return Interrupted.exit_code
    except OSError as error:
        if error.errno not in FULL:
            raise
        file = f"{error.filename} " if error.filename else "A file "
        say(f"{_error_label()} {file}cannot be written: {error.strerror}{FULL[error.errno]}.")
        return PassingloopError.exit_code


def lasting(stream: TextIO | None) -> TextIO:
    """`stream` as one that lasts; if it is closed, one that goes nowhere."""
    if isinstance(stream, LastingStream):
        return stream
    lasting = LastingStream(stream or Path(os.devnull).open("w"))  # noqa: SIM115  # open until the command ends
    if stream is None:
        lasting.error = OSError(errno.EBADF, "it is closed")
    return lasting  # type: ignore[return-value]  # it has all of a TextIO


@contextlib.contextmanager
def _lasting_streams() -> Iterator[None]:
    """A context in which stdout and stderr last."""
    _open_closed_descriptors()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of folders may be no Unicode
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams = lasting(sys.stdout), lasting(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in streams:
            stream.flush()
            if stream.error:  # type: ignore[attr-defined]
                _redirect_to_null(stream)  # or Python writes the rest when it exits, and fails


def _open_closed_descriptors() -> None:
    """Open stdin, stdout and stderr where they are closed, or the next file that is opened, here or in a child process,
    is taken for them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _redirect_to_null(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):  # it is closed, or no file
        descriptor = os.open(os.devnull, os.O_RDWR)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


def _stdout_error() -> str | None:
    error = getattr(sys.stdout, "error", None)
    return str(getattr(error, "strerror", None) or error) if error else None


def is_animated() -> bool:
    """Whether stderr is a terminal on which lines can be redrawn."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def has_colour() -> bool:
    """Whether the terminal has colours and the user has not disabled them (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def list_excerpt(items: Sequence[object], most: int) -> str:
    """The first `most` of `items`, separated by commas, and how many more there are: ``a, b and 3 more``."""
    shown = ", ".join(map(str, items[:most]))
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def size_text(count: float) -> str:
    """Bytes in three digits or so."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def printable(text: str) -> str:
    """The text with control characters and line ends escaped, so that what others have written in their runs and data
    cannot control the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _error_label() -> str:
    return "\x1b[1;31merror:\x1b[0m" if sys.stderr.isatty() and has_colour() else "error:"
