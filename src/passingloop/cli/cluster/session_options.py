"""The options of the verbs that begin interactive sessions."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable

from passingloop.config.running import TIME_LIMIT
from passingloop.errors import ConfigError
from passingloop.interactive.environment import SESSION_VARIABLE
from passingloop.interactive.session import Home, Kind
from passingloop.interactive.session_request import Options
from passingloop.interactive.waiting import active_sessions
from passingloop.slurm.control import cancel_jobs
from passingloop.text import say

MEMORY = r"\d+[KMGT]?"


def add_session_options(parser: argparse.ArgumentParser, kind: Kind) -> None:
    """Those of the job, and --end."""
    group = parser.add_argument_group("the job, if none runs yet; what is left out is up to the site")
    group.add_argument("--gpus", type=_count(0), metavar="N", help="GPUs per node")
    group.add_argument("--time", type=_matching(TIME_LIMIT, "minutes, H:MM:SS or D-HH:MM:SS"), help="time limit")
    group.add_argument("--cpus", type=_count(1), metavar="N", help="CPUs per node; the GPUs' share of them if left out")
    group.add_argument("--mem", type=_matching(MEMORY, "a size such as 16G"), help="memory per node, as 16G")
    group.add_argument("--nodes", type=_count(1), metavar="N", help="nodes; 1 if left out")
    group.add_argument("--partition", help="one, or several with commas")
    group.add_argument("--account")
    group.add_argument("--qos")
    parser.add_argument("--end", action="store_true", help=f"end the {kind} that runs or waits")


def session_options(arguments: argparse.Namespace) -> Options:
    """What was given of `add_session_options`."""
    return Options(**{name: getattr(arguments, name) for name in Options.__slots__})


def end_sessions(kind: Kind) -> int:
    """Cancel the jobs of the sessions of `kind`. Returns 0."""
    tickets = [ticket for ticket in active_sessions(Home.of_user()) if ticket.asked.kind == kind]
    cancel_jobs([ticket.job_id for ticket in tickets])
    for ticket in tickets:
        say(f"Ended Slurm job {ticket.job_id}.")
    if not tickets:
        say(f"No {kind} of yours runs or waits.")
    return 0


def check_outside(kind: Kind) -> None:
    """Raises:
    ConfigError: this process is in a session.
    """
    if job_id := os.environ.get(SESSION_VARIABLE):
        raise ConfigError(
            f"You are in a session already, Slurm job {job_id}: what you run here has its GPUs. "
            f"To begin a {kind}, leave it or use another terminal."
        )


def _count(least: int) -> Callable[[str], int]:
    def count(word: str) -> int:
        if not word.isdecimal() or int(word) < least:
            raise argparse.ArgumentTypeError(f"{word} is no number of at least {least}")
        return int(word)

    return count


def _matching(pattern: str, words: str) -> Callable[[str], str]:
    def matching(word: str) -> str:
        if not re.fullmatch(pattern, word):
            raise argparse.ArgumentTypeError(f"{word} is not {words}")
        return word

    return matching
