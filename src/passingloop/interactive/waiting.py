"""Finds the session that runs or waits, or asks Slurm for one, and waits until it can be used."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from passingloop.errors import ConfigError, Interrupted, MissingError, SlurmRefused, SlurmSilent
from passingloop.files import write_text
from passingloop.interactive.idle import IdleLimits
from passingloop.interactive.session import Asked, Home, Kind, Session
from passingloop.interactive.session_request import (
    Options,
    keeper_script,
    sbatch_options,
    session_request,
    with_options,
    without_qos,
)
from passingloop.site import Interactive, site
from passingloop.slurm import control, queue
from passingloop.slurm.batch import Request, refusal_sentence
from passingloop.slurm.capacity.facts import cluster_facts
from passingloop.slurm.capacity.limits import submission_problems
from passingloop.slurm.command import run_command
from passingloop.slurm.notation import node_names, timestamp
from passingloop.slurm.reasons import reason_sentence
from passingloop.slurm.states import COMPLETING, RUNNING, job_phase
from passingloop.text import say
from passingloop.vitals.idleness import gpu_rule

MOMENT = 2.0
"""Seconds after which a command that waits says why."""

LOOK_PAUSE = 0.05
"""Seconds between two looks at the session's folder, where the job reports itself. It costs Slurm nothing."""

FIRST_ASK_PAUSE, ASK_PAUSE_GROWTH = 0.1, 1.3
"""Seconds from submitting to the first question to slurmctld, and by how much the pause then grows, up to the site's
`poll_seconds`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A session that is in the queue or runs."""

    session: Session
    asked: Asked
    job_id: str
    submitted_here: bool
    """Whether this command has asked for it, and so cancels it when it is interrupted while it waits."""


def active_sessions(home: Home) -> list[Ticket]:
    """The sessions in the queue or running, the oldest first."""
    jobs = sorted(queue.jobs({os.getuid()}).values(), key=lambda job: job.submitted or 0.0)
    found = [(job, home.session_of(job.script)) for job in jobs if job_phase(job.state) != "ended"]
    return [
        Ticket(session=session, asked=session.asked(), job_id=job.job_id, submitted_here=False)
        for job, session in found
        if session and job.state != COMPLETING
    ]


def find_or_request(kind: Kind, options: Options, *, lasting: bool, single: bool = False) -> Ticket:
    """The session of this user that is there, or a new one.

    Args:
        lasting: whether a new session stays when everybody has left.
        single: whether a new session is for a single command.

    Raises:
        ConfigError: the session that is there has not what `options` ask for, or the cluster would not run a new one.
        MissingError: there is no Slurm here, or it does not answer.
    """
    home = Home.of_user()
    with home.lock(), _uninterrupted():
        active = active_sessions(home)
        for ticket in active:
            if ticket.asked.kind == kind:
                _check_fits(ticket, options)
                return ticket
        theirs = site()
        defaults = theirs.interactive
        request, fallback = _request(kind, options, defaults)
        home.prune(kept=[ticket.session for ticket in active])
        assert request.cpus, "session_request sets them"
        asked = Asked(
            kind=kind,
            nodes=request.nodes,
            gpus=request.gpus,
            cpus=request.cpus,
            lasting=lasting,
            single=single,
            limits=idle_limits(defaults),
            gpu_rule=gpu_rule(theirs.gpu_idle.limits, theirs.gpu_idle.limits),
            folder=os.getcwd(),  # noqa: PTH109  # Path.cwd() is the same and 20 lines of imports more
        )
        session = home.new_session(asked)
        job_id = _submit(session, request, fallback)
    return Ticket(session=session, asked=asked, job_id=job_id, submitted_here=True)


def idle_limits(defaults: Interactive) -> IdleLimits:
    """The site's limits in seconds."""
    return IdleLimits(warning=60 * defaults.idle_warning_minutes, end=60 * defaults.idle_end_minutes)


def _check_fits(ticket: Ticket, options: Options) -> None:
    asked = ticket.asked
    beyond = options.beyond(asked.nodes, asked.gpus, asked.cpus)
    if beyond:
        has = f"{asked.gpus} GPU{'s' if asked.gpus != 1 else ''} and {asked.cpus} CPU{'s' if asked.cpus != 1 else ''}"
        has = f"{asked.nodes} nodes, each with {has}" if asked.nodes > 1 else has
        raise ConfigError(
            f"You set {', '.join(beyond)}, but your {asked.kind} has Slurm job {ticket.job_id} already, with "
            f"{has}. Use it without these options, "
            f"or end it first: passingloop {asked.kind} --end"
        )


def _request(kind: Kind, options: Options, defaults: Interactive) -> tuple[Request, Request | None]:
    """The request, and another one for when Slurm refuses its QOS, which is only the site's default."""
    facts = cluster_facts()
    request = session_request(kind, options, defaults, facts)
    problems = submission_problems({request: 1}, facts)
    if problems:
        raise ConfigError("\n".join(with_options(problem) for problem in problems))
    return request, without_qos(request) if request.qos and not options.qos else None


def _submit(session: Session, request: Request, fallback: Request | None) -> str:
    command = [sys.executable, "-P", "-u", "-m", "passingloop.interactive.keeper", str(session.folder)]
    write_text(session.script, keeper_script(command), durable=False)
    # LC_ALL as it is here: Slurm's commands are called with another one, which the job is not to inherit.
    inherited = f"--export=ALL,LC_ALL={os.environ.get('LC_ALL', '')}"
    words = ["--parsable", f"--output={session.output}", inherited, *sbatch_options(request), str(session.script)]
    try:
        said = run_command("sbatch", *words)
    except SlurmRefused as refusal:
        if fallback and "qos" in refusal.text.lower():
            return _submit(session, fallback, None)
        raise ConfigError(f"Slurm does not take the job: {with_options(refusal_sentence(refusal.text))}") from refusal
    return said.strip().partition(";")[0]


def wait_until_running(ticket: Ticket) -> str:
    """Wait until the job runs. Returns the node on which its keeper is.

    If this command has asked for the job and is interrupted, the job is cancelled.

    Raises:
        Interrupted: by Ctrl-C, or because the terminal was closed.
        MissingError: the job has ended.
    """
    try:
        with _interruptible():
            return _wait(ticket)
    except KeyboardInterrupt:
        if not ticket.submitted_here:
            raise Interrupted(
                f"Interrupted. Slurm job {ticket.job_id} goes on: another command asked for it."
            ) from None
        with _uninterrupted():
            control.cancel_jobs([ticket.job_id])
        raise Interrupted(f"Interrupted. Slurm job {ticket.job_id} is cancelled.") from None


def _wait(ticket: Ticket) -> str:
    began = time.monotonic()
    pause, ask, told = FIRST_ASK_PAUSE, began + FIRST_ASK_PAUSE, ""
    longest = site().poll_seconds
    while True:
        if node := ticket.session.reported().get("node"):
            return str(node)
        if time.monotonic() >= ask:
            node, why, expected = _node_or_reason(ticket)
            if node:
                return node
            if why != told and time.monotonic() - began > MOMENT:
                say(
                    f"Slurm job {ticket.job_id} waits: {why}{expected}. `passingloop why {ticket.job_id}` says more; "
                    f"Ctrl-C {'cancels it' if ticket.submitted_here else 'ends the waiting'}."
                )
                told = why
            pause = min(longest, pause * ASK_PAUSE_GROWTH)
            ask = time.monotonic() + pause
        time.sleep(LOOK_PAUSE)


def _node_or_reason(ticket: Ticket) -> tuple[str | None, str, str]:
    """The job's first node once it runs, else why it does not, and when Slurm expects to start it.

    Slurm's estimate comes and goes while the reason stays.

    Raises:
        MissingError: it has ended.
    """
    try:
        fields = control.job_fields(ticket.job_id)
    except SlurmSilent:
        return None, "Slurm does not answer", ""
    except SlurmRefused:
        fields = {"JobState": "COMPLETED"}
    state = fields["JobState"]
    if state == RUNNING:
        return node_names(fields["NodeList"])[0], "", ""
    if state == COMPLETING or job_phase(state) == "ended":
        tail = ticket.session.output_tail()
        raise MissingError(
            f"Slurm job {ticket.job_id} has ended ({state}) before it could be used." + (f"\n{tail}" if tail else "")
        )
    if state == "CONFIGURING":
        return None, "its nodes are being started", ""
    reason = with_options(reason_sentence(fields.get("Reason", "None")))
    return None, reason, _expected(fields.get("StartTime", ""))


def _expected(start: str) -> str:
    when = timestamp(start)
    if when is None or when <= time.time():
        return ""
    day = "%H:%M" if when - time.time() < 12 * 3600 else "%d %b %H:%M"
    return f"; Slurm expects to start it at {time.strftime(day, time.localtime(when))} at the latest"


def wait_for_report(ticket: Ticket, key: str, notice: Callable[[], None]) -> str:
    """Wait until the job has reported `key`. Returns its value.

    Args:
        notice: called once, after a moment.

    Raises:
        MissingError: the job has ended.
    """
    began, told = time.monotonic(), False
    while True:
        if value := ticket.session.reported().get(key):
            return str(value)
        waited = time.monotonic() - began
        if waited > MOMENT and not told:
            notice()
            told = True
        if told and waited % 5 < LOOK_PAUSE:
            _node_or_reason(ticket)  # raises once it has ended
        time.sleep(LOOK_PAUSE)


@contextmanager
def _interruptible() -> Iterator[None]:
    """A context in which SIGTERM and SIGHUP interrupt as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A context in which signals that interrupt wait, so that no job is left of which nobody knows."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
