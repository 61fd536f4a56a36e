"""In a step of a session's job: the user's shell, or one command.

python -m passingloop.interactive.terminal SESSION [COMMAND...]
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from passingloop.errors import PassingloopError
from passingloop.interactive.door import Door
from passingloop.interactive.environment import Shell, activated
from passingloop.text import exit_code, say

HANG_UP_PATIENCE = 20.0
"""Seconds for what runs in the terminal to save and end when the session ends."""


def main(session: str, words: Sequence[str]) -> int:
    """Run `words`, or an interactive shell without any, in the session of that name. Returns its exit code.

    Raises:
        MissingError: the keeper of the session does not answer.
    """
    door = Door(session)
    environment = activated(os.environ)
    if words:
        run_command_in_place(door.enter("command"), words, environment)
    return run_shell(door, environment)


def run_command_in_place(connection: socket.socket, words: Sequence[str], environment: dict[str, str]) -> None:
    """Become `words`. Signals reach it as they would reach us; the keeper sees from the connection when it ends."""
    connection.set_inheritable(True)
    try:
        os.execvpe(words[0], list(words), environment)  # noqa: S606  # no shell is meant
    except OSError as error:
        say(f"error: {words[0]} cannot be run on {os.uname().nodename}: {error.strerror}.")
        raise SystemExit(127 if isinstance(error, FileNotFoundError) else 126) from None


def run_shell(door: Door, environment: dict[str, str]) -> int:
    """Run an interactive shell until it ends, or the session.

    The shell does not wait for the keeper, which begins at the same time as the first one.

    A request to stop, as it comes at a preemption, goes to what runs in the foreground: an interactive shell ignores
    it, and where Slurm tells cgroups apart the request reaches nobody but this process.
    """
    node = environment.get("SLURMD_NODENAME", os.uname().nodename)
    prompt = f"job {environment['SLURM_JOB_ID']} on {node}"
    door.make_folder()
    command = Shell.of_user(environment).interactive(door.folder, environment, prompt)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, _signal_foreground)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU):
        signal.signal(number, _pass)  # a handler, because what is ignored stays ignored in the shell
    process = subprocess.Popen(command, env=environment)
    threading.Thread(target=_end_with_keeper, args=(door, process), daemon=True).start()
    code = process.wait()
    _hang_up_background()
    return code if code >= 0 else 128 - code


def _end_with_keeper(door: Door, process: subprocess.Popen[bytes]) -> None:
    """Tell the keeper that `process` is there, and hang it up when the keeper ends."""
    try:
        with door.enter("terminal") as connection, contextlib.suppress(OSError):
            while connection.recv(1):
                pass
    except (PassingloopError, OSError) as problem:
        say(f"error: {problem}\r")
    _hang_up(process)


def _pass(number: int, frame: FrameType | None) -> None:
    return


def _signal_foreground(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        group = os.tcgetpgrp(0)
        if group != os.getpgrp():
            os.killpg(group, number)


def _hang_up_background() -> None:
    """Hang up what the shell has left in the background: it holds the terminal open, so that the step would not end."""
    own = os.getpid()
    if os.getsid(0) != own:  # without a terminal of our own
        return
    for number in (int(entry.name) for entry in Path("/proc").glob("[0-9]*")):
        with contextlib.suppress(OSError):  # it has ended
            if number != own and os.getsid(number) == own:
                os.kill(number, signal.SIGHUP)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    for _ in range(2):  # first what runs in the shell, then the shell itself
        _signal_foreground(signal.SIGHUP, None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(HANG_UP_PATIENCE / 2)
            return
    process.send_signal(signal.SIGHUP)
    time.sleep(1.0)
    process.kill()


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1], sys.argv[2:])))
