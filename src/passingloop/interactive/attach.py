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
from passingloop.slurm.steps import NO_PTY, Streams, session_command

EXIT_NOTE = re.compile(rb"srun: error: \S+: task 0: Exited with exit code \d+\s*")
"""What srun says of a shell whose last command has failed, which is no error of the shell."""

NOTES_SECONDS = 2.0
"""To wait for what srun has said before its end; somebody else may still hold its stderr."""


def enter(ticket: Ticket, node: str, words: Sequence[str]) -> int:
    """Run `words` in the session, or a shell without any. Returns the exit code.

    Raises:
        MissingError: there is no srun, or no terminal on the node.
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    module = ["-m", "passingloop.interactive.terminal", ticket.session.folder.name, *words]
    command = [*_step(ticket, node, "terminal" if terminal else "lines"), sys.executable, "-P", *module]
    # With a terminal the output of the session comes on stdout, so that stderr is srun's alone.
    process = _start(command, stderr=subprocess.PIPE if terminal else None)
    before = signal.signal(signal.SIGINT, lambda *_: None)  # srun takes it to the session
    notes = _Notes(process.stderr) if process.stderr else None
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if not words:
        # Whether the shell was left, or lost, is known here only: with a terminal that is closed SIGHUP ends us, while
        # the shell, which reads the end of its input, may end as with `exit`.
        ticket.session.note_exit()
    if notes and notes.tell_of_no_pty():
        raise MissingError(
            f"{node} has no pseudo-terminals (/dev/pts), of which a terminal needs one. Ask the administrators to "
            "mount devpts there; until then give a command, and pipe what it prints, as in passingloop shell -- "
            "COMMAND | cat."
        )
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


class _Notes(threading.Thread):
    """Passes on what srun says, while it runs."""

    def __init__(self, lines: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._lines = lines
        self._lacks_pty = False
        self.start()

    def run(self) -> None:
        for line in self._lines:
            self._lacks_pty |= NO_PTY.encode() in line
            if not EXIT_NOTE.fullmatch(line):
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()

    def tell_of_no_pty(self) -> bool:
        """Whether srun has said, by its end, that the step got no pty."""
        self.join(NOTES_SECONDS)
        return self._lacks_pty
