"""Enters a session that runs: a step of its job, with this terminal's input and output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from passingloop.errors import MissingError
from passingloop.interactive.waiting import Ticket
from passingloop.slurm.command import inherited_variables
from passingloop.slurm.steps import Streams, session_command

EXIT_NOTE = re.compile(rb"srun: error: \S+: task 0: Exited with exit code \d+\s*")
"""What srun says of a shell whose last command has failed, which is no error of the shell."""


def enter(ticket: Ticket, node: str, words: Sequence[str]) -> int:
    """Run `words` in the session, or a shell without any. Returns the exit code."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    module = ["-m", "passingloop.interactive.terminal", ticket.session.folder.name, *words]
    command = [*_step(ticket, node, "terminal" if terminal else "lines"), sys.executable, "-P", *module]
    # With a terminal the output of the session comes on stdout, so that stderr is srun's alone.
    process = _start(command, stderr=subprocess.PIPE if terminal else None)
    before = signal.signal(signal.SIGINT, lambda *_: None)  # srun takes it to the session
    try:
        if process.stderr:
            threading.Thread(target=_pass_on_notes, args=(process.stderr,), daemon=True).start()
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if not words:
        # Whether the shell was left, or lost, is known here only: with a terminal that is closed SIGHUP ends us, while
        # the shell, which reads the end of its input, may end as with `exit`.
        ticket.session.note_exit()
    return code


def speak_ssh(ticket: Ticket, node: str) -> int:
    """Speak to an ssh server in the session, on our standard streams, until they are closed. Returns the exit code.

    The client closes them when it ends, and sends SIGHUP: srun, which would report that, learns of the end from them.
    """
    module = ["-m", "passingloop.interactive.relay", ticket.session.folder.name]
    command = [*_step(ticket, node, "bytes"), sys.executable, "-P", *module]
    signal.signal(signal.SIGHUP, lambda *_: None)
    return _start(command).wait()


def _step(ticket: Ticket, node: str, streams: Streams) -> list[str]:
    asked = ticket.asked
    return session_command(ticket.job_id, node, cpus=asked.cpus, gpus=asked.gpus, streams=streams)


def _start(command: Sequence[str], stderr: int | None = None) -> subprocess.Popen[bytes]:
    """Start srun with this terminal's environment, without what another job has left in it: options to srun."""
    removed = set(inherited_variables(os.environ))
    environment = {name: value for name, value in os.environ.items() if name not in removed}
    try:
        return subprocess.Popen(command, env=environment, stderr=stderr)
    except FileNotFoundError:
        raise MissingError("There is no srun here, so no session can be entered. Use a login node.") from None


def _pass_on_notes(lines: IO[bytes]) -> None:
    for line in lines:
        if not EXIT_NOTE.fullmatch(line):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
