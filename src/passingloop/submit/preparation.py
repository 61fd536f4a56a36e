"""Data that are prepared before a run begins, by a job without GPUs that its own job waits for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import JobRef
from passingloop.rundir.submission import Home
from passingloop.slurm.batch import Request, try_out
from passingloop.slurm.facts import Facts
from passingloop.slurm.limits import check
from passingloop.slurm.notation import megabytes, words
from passingloop.submit.code import Snapshot
from passingloop.submit.sbatch import Sbatch
from passingloop.text import say

WORTH = 60.0
"""Seconds of preparing for which `cluster.prepare_ahead=auto` makes a job; a queue has its price, too."""

SLOWER, SHORTEST = 10.0, 3600.0
"""The job may take so many times as long as is estimated, and so many seconds in any case."""

MEMORY = "8G"
"""Preparing takes less than 2 GiB, whatever the size of the data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What there is to prepare for a run."""

    key: str
    """Runs with the same have the same data."""
    seconds: float
    """0 where they are prepared already; infinite where it is not known."""


Estimate = Callable[[RunConfig, int], Work]
"""From settings, and how many CPUs would do it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """A job that prepares data, to be submitted."""

    key: str
    config: RunConfig
    """Of one of the runs that need them."""
    asked: Request


def preparations(
    requests: Mapping[RunConfig, Request], estimate: Estimate, known: Facts
) -> dict[RunConfig, Preparation]:
    """What is to be prepared ahead, by the settings of the runs that need it.

    Raises:
        ConfigError: the cluster would not run such a job, and it was asked for.
    """
    found: dict[RunConfig, Preparation] = {}
    by_key: dict[str, Preparation | None] = {}
    for config, asked in requests.items():
        mode = config.cluster.prepare_ahead
        if mode == "never":
            continue
        work = estimate(config, (asked.cpus or 1) * asked.tasks)
        if work.key not in by_key and work.seconds > (0.0 if mode == "always" else WORTH):
            by_key[work.key] = _preparation(config, asked, work, known)
        if one := by_key.get(work.key):
            found[config] = one
    return found


def _preparation(config: RunConfig, asked: Request, work: Work, known: Facts) -> Preparation | None:
    """With a time limit of its own, else with the run's; None where the cluster would run neither."""
    problems: list[str] = []
    for time in (_time(config, asked, work.seconds, known), asked.time):
        preparation = Preparation(key=work.key, config=config, asked=_request(config, asked, time))
        problems = check({preparation.asked: 1}, known)
        if not problems:
            return preparation
    if config.cluster.prepare_ahead == "always":
        raise ConfigError(f"The job that prepares the data would not run. {' '.join(problems)}")
    say(f"The run prepares its data itself, as no job without GPUs could do so: {' '.join(problems)}")
    return None


def _request(config: RunConfig, asked: Request, time: str | None) -> Request:
    """As the run's own, without GPUs: on one node, with as many CPUs as the run has on one."""
    return Request(
        name=f"{asked.name}-data",
        nodes=1,
        gpus=0,
        tasks=1,
        cpus=asked.cpus * asked.tasks if asked.cpus else None,
        mem=min(asked.mem, MEMORY, key=megabytes) if asked.mem else None,
        time=time,
        partition=config.cluster.prepare_partition or asked.partition,
        account=asked.account,
        qos=config.cluster.prepare_qos or asked.qos,
        extra=(),
    )


def _time(config: RunConfig, asked: Request, expected: float, known: Facts) -> str | None:
    """A limit, so that other jobs can be planned around it; longer than the run's, which goes on where it ends."""
    if math.isinf(expected):
        return asked.time
    chosen = known.chosen(config.cluster.prepare_partition or asked.partition)
    most = [one.max_time for one in chosen if one.max_time is not None]
    return words(min([max(SHORTEST, SLOWER * expected), *most]))


def try_out_all(found: Iterable[Preparation], home: Home) -> None:
    """Let sbatch judge the jobs.

    Raises:
        ConfigError: it would not accept one.
    """
    for one in {preparation.asked: preparation for preparation in found}.values():
        try:
            try_out(script(one, home))
        except ConfigError as error:
            raise _of_data(error) from error


def script(preparation: Preparation, home: Home) -> str:
    """The batch script, for people to see."""
    return Sbatch(preparation.asked, home.new(), Snapshot.taken(home).folder, 1, None).text


def hand_over(preparation: Preparation, runs: Sequence[RunDir], home: Home, code: Path) -> JobRef:
    """Submit it for `runs`. Returns the job.

    Raises:
        ConfigError: sbatch refused.
        MissingError: Slurm does not answer.
    """
    submission = home.new()
    task = {"prepare": to_plain(preparation.config), "runs": [str(run.path) for run in runs]}
    submission.intend([], [task])
    try:
        job_id = Sbatch(preparation.asked, submission, code, 1, None).hand_over()
    except ConfigError as error:
        submission.give_up()
        raise _of_data(error) from error
    submission.accept(job_id)
    say(f"Submitted Slurm job {job_id}, which prepares the data first.")
    return JobRef(submission.name, job_id)


def after(asked: Request, job_ids: Sequence[str]) -> Request:
    """The same, to begin when these jobs have done well, and never if one of them has not."""
    if not job_ids:
        return asked
    extra = dict(asked.extra)
    own = str(extra.pop("dependency", ""))
    if "?" in own:
        raise ConfigError(
            f"You set cluster.extra.dependency={own}, of which any will do, but the run has to wait for its data as "
            "well. Set cluster.prepare_ahead=never."
        )
    dependency = ",".join(filter(None, [own, f"afterok:{':'.join(job_ids)}"]))
    options = {"dependency": dependency, "kill-on-invalid-dep": "yes"}
    return replace(asked, extra=tuple({**extra, **options}.items()))


def _of_data(error: ConfigError) -> ConfigError:
    return ConfigError(
        f"{error} That is the job that prepares the data: cluster.prepare_partition and cluster.prepare_qos say where "
        "it goes, and cluster.prepare_ahead=never leaves it out."
    )
