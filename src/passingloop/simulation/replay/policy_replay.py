"""One policy tried on one trace: a private cluster is made, brought to the policy, and the trace is replayed on it."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from passingloop.errors import ConfigError, MissingError
from passingloop.policy.administration import changes_left, make_changes, make_plan
from passingloop.policy.cluster_policy import observe
from passingloop.policy.entities import Policy, State
from passingloop.policy.fields import DEFAULT_QOS, ROOT
from passingloop.simulation.replay.job_requests import Limits
from passingloop.simulation.replay.private_cluster import ClusterMaker, Node
from passingloop.simulation.replay.replay_records import launch_s, outcomes
from passingloop.simulation.replay.replay_settings import replay_settings
from passingloop.simulation.replay.replayer import Replayed, Replayer
from passingloop.simulation.replay.saving import Saving
from passingloop.simulation.trace_jobs import Replay, TraceJob
from passingloop.simulation.traces.time_fitting import BOUND, Pace, fitted
from passingloop.simulation.traces.trace import Trace
from passingloop.slurm.command import run_command

PLAIN = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
ACCOUNT = re.compile(r"[a-z0-9_.-]+")
LAUNCH_S = 4.0
"""Seconds of the trace that a launch and an end may take together; the clock waits for them so that they take half."""
HOPELESS = 2 * BOUND
"""With which a replay does not go on: the first launches on a cluster, or in a burst, may take longer than most."""
ANY_NUMBER = 1e6
UNLIMITED_S = 400 * 86400.0
PATIENCE = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """How a trace is replayed."""

    nodes: Sequence[Node]
    node_names: Sequence[str] = ()
    """That they have in the policy file."""
    factor: float
    """How much faster than the machine's the time goes at most."""
    saving: Saving
    tail_s: float
    """How long after the trace's period jobs that wait are waited for."""
    release: str | None = None
    """Of the Slurm that replays it; None for the installed one."""


def replayed(
    policy: Policy, trace: Trace, setting: Setting, maker: ClusterMaker, tell: Callable[[str], None]
) -> Replay:
    """What becomes of the jobs of a trace under a policy.

    Raises:
        ConfigError: the policy cannot be applied, or the launches took too large a part of the jobs' time.
        MissingError: the private cluster does not answer.
    """
    lines = replay_settings(policy, setting.node_names)
    jobs = with_plain_names(trace.jobs)
    users = sorted({job.user for job in jobs} | set(policy.users or ()) - {"root"})
    name = policy.cluster or "replay"
    with maker(
        name=name,
        nodes=setting.nodes,
        settings=lines.settings,
        partitions=lines.partitions,
        users=users,
        release=setting.release,
    ) as cluster:
        with _commands_of(cluster.variables):
            state = _applied(policy)
            notes = _complete(policy, state, jobs)
            limits = _limits(state)
        found = Replayer(cluster, jobs, limits, setting.nodes, setting.saving).run(
            trace.length_s,
            setting.tail_s,
            setting.factor,
            tell,
            lambda launch: check_launch(launch, jobs, setting.factor, HOPELESS),
        )
    return _result(policy, trace, jobs, setting, found, [*trace.notes, *lines.notes, *notes])


def fitting(trace: Trace) -> Trace:
    """The trace with short jobs merged until a launch is a small enough part of the median one.

    Raises:
        ConfigError: its jobs are too short for that.
    """
    fit = fitted(trace, Pace(launch_s=LAUNCH_S, launches_per_s=ANY_NUMBER), factor=1.0)
    return replace(fit.trace, notes=(*fit.trace.notes, *fit.left_out))


def with_plain_names(jobs: Sequence[TraceJob]) -> list[TraceJob]:
    """The jobs with names of users and accounts that Slurm can have."""
    users = {name: number for number, name in enumerate(dict.fromkeys(job.user for job in jobs))}
    accounts = {name: number for number, name in enumerate(dict.fromkeys(job.account for job in jobs))}

    def plain(name: str, pattern: re.Pattern[str], other: str) -> str:
        return name if pattern.fullmatch(name) else other

    return [
        replace(
            job,
            user=plain(job.user, PLAIN, f"user-{users[job.user]}"),
            account=plain(job.account, ACCOUNT, f"account-{accounts[job.account]}"),
        )
        for job in jobs
    ]


@contextmanager
def _commands_of(variables: Mapping[str, str]) -> Iterator[None]:
    """Slurm's commands talk to the private cluster."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in variables.items() if name != "SLURM_TIME_FORMAT"})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _applied(policy: Policy) -> State:
    plan = make_plan(policy, observe())
    _, problem = make_changes(plan, print_each=False)
    if problem or (left := changes_left(plan, problem)):
        raise ConfigError(
            f"{policy.file} cannot be applied to the private cluster: "
            + (problem or f"{len(left)} changes are still to be made, and sacctmgr does not say why.")
        )
    return observe().state


def _complete(policy: Policy, state: State, jobs: Sequence[TraceJob]) -> list[str]:
    """Add the accounts and users of the trace that the policy does not have."""
    accounts = sorted({job.account for job in jobs} - set(state.accounts))
    seats = sorted({(job.account, job.user) for job in jobs} - {(seat.account, seat.user) for seat in state.seats})
    told = [f"add account {account} description=trace organization=trace" for account in accounts]
    of_account: dict[str, list[str]] = {}
    for account, user in seats:
        of_account.setdefault(account, []).append(user)
    told += [f"add user {','.join(users)} account={account}" for account, users in of_account.items()]
    if told:
        run_command("sacctmgr", "--immediate", stdin="\n".join([*told, ""]), timeout=PATIENCE)
        have = {(seat.account, seat.user) for seat in observe().state.seats}
        if lacking := [seat for seat in seats if seat not in have]:
            raise MissingError(f"sacctmgr did not add {lacking[0][1]} to the account {lacking[0][0]}.")
    if not accounts or policy.accounts is None:
        return []
    return [
        f"{len(accounts)} accounts of the trace are not in the policy, and got one share each below root: "
        f"{', '.join(accounts[:5])}{', …' if len(accounts) > 5 else ''}."
    ]


def _limits(state: State) -> Limits:
    longest = {
        name: float(options[("MaxWall", "")]) for name, options in state.qos.items() if ("MaxWall", "") in options
    }
    default = state.accounts.get(ROOT, {}).get(DEFAULT_QOS, "normal")
    return Limits(qos=frozenset(state.qos), longest_s=longest, default_longest_s=longest.get(default, UNLIMITED_S))


def _result(
    policy: Policy, trace: Trace, jobs: Sequence[TraceJob], setting: Setting, found: Replayed, notes: list[str]
) -> Replay:
    outcome = outcomes(jobs, found.records, found.reports, setting.saving, found.zero, found.over)
    launch = launch_s(outcome)
    check_launch(launch, jobs, setting.factor)
    if found.tried_again:
        notes.append(
            f"{found.tried_again} jobs were submitted later than in the trace, as the policy lets their users have no "
            "more in the queue: they try again every five minutes."
        )
    return Replay(
        policy=Path(policy.file).name,
        trace=trace.name,
        gpus=sum(node.gpus for node in setting.nodes),
        length_s=trace.length_s,
        factor=found.factor,
        overhead=launch / _median_s(jobs),
        left_out=tuple(notes),
        outcomes=outcome,
        tail_s=setting.tail_s,
    )


def check_launch(launch: float, jobs: Sequence[TraceJob], factor: float, bound: float = BOUND) -> None:
    """Check that a launch does not take too large a part of the median job.

    Args:
        launch: how long it takes, in seconds of the trace.
        bound: the largest part.

    Raises:
        ConfigError: it does, so that the waits of the replay are not those of a real cluster.
    """
    share = launch / _median_s(jobs)
    if share > bound:
        raise ConfigError(
            f"A launch took {launch:.1f} s of the trace, {share:.1%} of the median job. With more than {BOUND:.0%} the "
            f"waits are not those of a real cluster. Set a smaller --factor than {factor:g}, or try it on a "
            "machine that does nothing else."
        )


def _median_s(jobs: Sequence[TraceJob]) -> float:
    return statistics.median([job.duration_s for job in jobs if job.duration_s > 0] or [1.0])
