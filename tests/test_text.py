"""Output that cannot be written ends nothing: a closed or broken stdout or stderr, a full disk, a limit."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from passingloop.text import LastingStream

PROGRAM = """
import sys
from passingloop.text import exit_code, print_path, say

def command():
    say("beginning")
    print_path("/the/run")
    sys.stderr.write("x" * 100_000)
    return 7 if open("/dev/null").fileno() > 2 else 1

sys.exit(exit_code(command))
"""

BROKEN = [">/dev/full", "| true", ">&-", ">&- <&-"]
"""Ways to lose stdout, as a shell spells them."""


def run(redirection: str, program: str = PROGRAM) -> tuple[int, str]:
    """Exit code and stderr."""
    script = f'exec 3>&1; {{ "$0" -P -c "$1"; echo $? >&3; }} {redirection}'
    words = ["bash", "-c", script, sys.executable, program]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return int(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("redirection", BROKEN)
def test_a_path_that_stdout_does_not_take_is_on_stderr(redirection: str) -> None:
    code, stderr = run(redirection)
    assert code == 7
    assert stderr.startswith("beginning\n/the/run is not on stdout, which cannot be written: ")
    assert stderr.endswith("x" * 100_000)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", ">&- 2>&-", ">&- 2>&- <&-", "2>&1 | true"])
def test_without_stderr_the_command_ends_as_it_would(redirection: str) -> None:
    assert run(redirection) == (7, "")


def test_a_command_with_data_has_failed_without_stdout() -> None:
    program = (
        "from passingloop import text; raise SystemExit(text.exit_code(lambda: print(1) or text.data_exit_code()))"
    )
    assert run(">/dev/full", program) == (1, "error: stdout cannot be written: No space left on device.\n")
    assert run("2>&1 | cat >&2", program) == (0, "1\n")


def test_what_is_no_unicode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of folders may be any bytes. In JSON the escape means the same."""
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")  # as in a locale such as en_US.UTF-8
    command = "lambda: print('a\\udcff') or text.data_exit_code()"
    program = f"from passingloop import text; raise SystemExit(text.exit_code({command}))"
    assert run("2>&1 | cat >&2", program) == (0, "a\\udcff\n")


def test_a_file_that_cannot_grow_is_a_sentence() -> None:
    program = "import os; from passingloop.text import exit_code\n"
    program += "raise SystemExit(exit_code(lambda: os.write(os.open('/dev/full', os.O_WRONLY), b'x')))"
    assert run("", program) == (1, "error: A file cannot be written: No space left on device.\n")


def test_a_full_pipe_that_does_not_block_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(reader, "rb", buffering=0) as beginning, os.fdopen(writer, "w") as end:
        stream = LastingStream(end)
        for _ in range(100):
            stream.write("x" * 5000)
            stream.flush()
        assert isinstance(stream.error, BlockingIOError)
        assert beginning.read(2**20)
        stream.flush()


def test_what_is_closed_later_is_kept_as_an_error() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", closefd=False) as end:
        stream = LastingStream(end)
        os.close(reader)
        stream.write("x\n")
        stream.flush()
        assert isinstance(stream.error, OSError)
        assert stream.error.errno == errno.EPIPE
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, writer)
    os.close(writer)
    os.close(null)
