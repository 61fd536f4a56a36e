"""``passingloop notebook``: JupyterLab in a small job; called again it says where the one that runs is.

It prints the URL for the browser on stdout, and on stderr the ssh command that makes the URL work on your own computer.
The job goes on when this command has ended. It ends after a time without use, at its time limit, or with --end.
"""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

from passingloop.cli.cluster.session_options import add_session_options, check_outside, end_sessions, session_options
from passingloop.cli.selection import add_root, single_run
from passingloop.files import read_json
from passingloop.interactive.jupyter import check_installed, urls
from passingloop.interactive.like import notebook, notebook_name
from passingloop.interactive.waiting import Ticket, find_or_request, wait_for_report, wait_until_running
from passingloop.rundir import record
from passingloop.slurm.capacity.facts import user_name
from passingloop.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_session_options(parser, "notebook")
    parser.add_argument(
        "--like", metavar="RUN", help="open a notebook that loads the settings, data and model of a run"
    )
    add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Begin Jupyter, or find it. Returns 0 once it answers.

    Raises:
        ConfigError: the cluster would not run it, or RUN names no run.
        Interrupted: while it waited.
        MissingError: JupyterLab or Slurm are missing, or the job has ended.
    """
    if arguments.end:
        return end_sessions("notebook")
    check_installed()
    check_outside("notebook")
    page = _page_like(arguments.like, arguments.run_root) if arguments.like else None
    ticket = find_or_request("notebook", session_options(arguments), lasting=True)
    node = wait_until_running(ticket)
    wait_for_report(ticket, "port", lambda: say(f"Slurm job {ticket.job_id} runs on {node}; Jupyter is starting."))
    _print_access(ticket, page)
    return 0


def _page_like(word: str, root: Path) -> str:
    """Write the notebook into the working folder, unless it is there. Returns its name."""
    run = single_run(word, root)
    path = Path.cwd() / notebook_name(run)
    if path.exists():
        say(f"{path} is there already and stays as it is.")
    else:
        result = read_json(run.result) if run.result.exists() else None
        path.write_text(notebook(run, record.read(run), result), encoding="utf-8")
        say(f"Wrote {path}")
    return path.name


def _print_access(ticket: Ticket, page: str | None) -> None:
    state, asked = ticket.session.reported(), ticket.asked
    login = f"{user_name()}@{socket.gethostname()}"
    url, tunnel = urls(state, ticket.session.token.read_text(), page, login)
    if page and asked.folder != os.getcwd():  # noqa: PTH109  # as the session has it
        say(f"The notebooks of Slurm job {ticket.job_id} are in {asked.folder}: it cannot open {page} here.")
        url, tunnel = urls(state, ticket.session.token.read_text(), None, login)
    gpus = f"{asked.gpus} GPU{'s' if asked.gpus != 1 else ''}"
    cpus = f"{asked.cpus} CPU{'s' if asked.cpus != 1 else ''}"
    say(f"Slurm job {ticket.job_id} on {state['node']}: {gpus}, {cpus}. On your own computer first:")
    say(f"  {tunnel}")
    print(url)
