"""``passingloop shell``: a GPU shell; called again it enters the same job, from any terminal.

In it `python train.py` uses the job's GPUs. It ends with `exit` in the last terminal, after a time without use, or at
its time limit; a connection that breaks does not end it. After -- a single command is run instead of a shell, and its
exit code returned.

With --ssh it prints an entry for ~/.ssh/config, with which `ssh passingloop`, scp, rsync, VS Code and PyCharm reach the
job; connecting starts it if need be.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence

from passingloop.cli.cluster.session_options import add_session_options, check_outside, end_sessions, session_options
from passingloop.errors import ConfigError
from passingloop.interactive.attach import enter, speak_ssh
from passingloop.interactive.session import Asked, Home
from passingloop.interactive.waiting import find_or_request, wait_until_running
from passingloop.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "passingloop shell [options] [-- COMMAND ...]"
    add_session_options(parser, "shell")
    parser.add_argument("--keep", action="store_true", help="keep the job when everybody has left, until it is idle")
    parser.add_argument("--ssh", action="store_true", help="print the entry for ~/.ssh/config")
    parser.add_argument(
        "--via",
        metavar="LOGIN",
        help="with --ssh: an entry for your own computer, on which `ssh LOGIN` works",
    )
    parser.add_argument("--ssh-proxy", action="store_true", help="what the entry calls")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="after --: one command with its arguments")


def main(arguments: argparse.Namespace) -> int:
    """Enter the session. Returns the exit code of the shell or the command.

    Raises:
        ConfigError: the cluster would not run it, or the session that runs has not what is asked for.
        Interrupted: while it waited.
        MissingError: there is no Slurm, or the job has ended.
    """
    if arguments.via and not arguments.ssh:
        raise ConfigError("You set --via, which says for whom --ssh prints its entry. Add --ssh.")
    if arguments.end:
        return end_sessions("shell")
    if arguments.ssh:
        return print_entry(arguments)
    command = command_words(sys.argv)
    if arguments.command and not command:
        raise ConfigError(f"Write -- before the command: passingloop shell -- {shlex.join(arguments.command)}")
    check_outside("shell")
    lasting = arguments.keep or arguments.ssh_proxy
    ticket = find_or_request("shell", session_options(arguments), lasting=lasting, single=bool(command))
    if not ticket.submitted_here and (given := session_options(arguments).words):
        say(f"Slurm job {ticket.job_id} is there already: {', '.join(given)} changes nothing.")
    began = time.monotonic()
    node = wait_until_running(ticket)
    if arguments.ssh_proxy:
        return speak_ssh(ticket, node)
    if not command:
        say(arrival_text(ticket.job_id, ticket.asked, node, time.monotonic() - began))
    return enter(ticket, node, command)


def command_words(argv: Sequence[str]) -> list[str]:
    """What stands after the first --, word for word: argparse leaves out a second one in some releases of Python."""
    return list(argv[argv.index("--") + 1 :]) if "--" in argv else []


def print_entry(arguments: argparse.Namespace) -> int:
    """Print the entry for ssh, and what to do with it. Returns 0."""
    from passingloop.interactive.ssh import HOST, Keys, client_entry

    keys = Keys(Home.of_user().ssh)
    keys.make()
    print(client_entry(keys, session_options(arguments).words, arguments.via))
    where = "of your own computer" if arguments.via else f"on {os.uname().nodename}"
    say(f"Append this to ~/.ssh/config {where}; then `ssh {HOST}` is a shell with GPUs.")
    return 0


def arrival_text(job_id: str, asked: Asked, node: str, waited: float) -> str:
    """What the user reads on entering the job."""
    gpus = f"{asked.gpus} GPU{'s' if asked.gpus != 1 else ''}"
    cpus = f"{asked.cpus} CPU{'s' if asked.cpus != 1 else ''}"
    nodes = f"{asked.nodes} nodes, each with " if asked.nodes > 1 else ""
    came = f", after {waited:.0f} s" if waited >= 1 else ""
    stays = "stays until it is idle" if asked.lasting else "`exit` ends it"
    return f"Slurm job {job_id} on {node}: {nodes}{gpus}, {cpus}{came}. {stays[0].upper()}{stays[1:]}."
