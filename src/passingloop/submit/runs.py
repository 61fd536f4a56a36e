"""``launcher=slurm``: runs are submitted to Slurm, those of a sweep as one array, and the command returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from passingloop.config.build import to_plain
from passingloop.config.data import DataConfig
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError, PassingloopError
from passingloop.plan import signature
from passingloop.rundir import record
from passingloop.rundir.choice import choose_run
from passingloop.rundir.code import Code, FrozenCode, code_identity
from passingloop.rundir.directory import RunDir
from passingloop.rundir.ledger import JobRef
from passingloop.rundir.submission import Home
from passingloop.rundir.tasks import PrepareTask, TrainTask
from passingloop.slurm.batch import Request, check_script
from passingloop.slurm.facts import Facts, cluster_facts
from passingloop.slurm.limits import submission_problems
from passingloop.submit.preparation import Preparation, named_in_errors, preparations, with_dependency
from passingloop.submit.request import request
from passingloop.text import say

# submit.sbatch brings submitit: it is imported inside functions, first of all while Slurm answers.

Runs = Mapping[RunDir, RunConfig]

SETTLED = ("completed", "running", "pending")
"""How a run stands that is not to be submitted."""


def submit(configs: Sequence[RunConfig], size: Callable[[DataConfig], int | None] = lambda _: None) -> int:
    """Submit the runs of `configs` that are not done, queued or running; the directories of all on stdout.

    Args:
        size: about how many bytes a database, bucket or hub has for a run, where that is known.

    Returns the exit code, 0.

    Raises:
        ConfigError: the cluster would not run one of them, or sbatch refused; what is submitted stays so.
        MissingError: Slurm is not here, or does not answer.
    """
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(cluster_facts)  # 15 ms of waiting for Slurm
        import passingloop.submit.sbatch  # noqa: F401
    known = answer.result()
    home = Home.for_user(_run_root(configs))
    requests = {config: request(config, known) for config in configs}
    _check(requests.values(), known, home)
    if configs[0].dry_run:
        _show(requests, preparations(requests, size, known), home)
        return 0
    home.create()
    with home.lock():
        if home.open_submissions():
            from passingloop.submit.repair import (
                repair,  # late, as is `states_of`: 15 ms that most commands do not need
            )

            repair(home)
        runs = {choose_run(config): config for config in configs}
        todo = _missing(runs)
        if todo:
            ahead = preparations({config: requests[config] for config in todo.values()}, size, known)
            _submit(todo, requests, ahead, home, known)
    for run in runs:
        print(run.path, flush=True)
    return 0


def _run_root(configs: Sequence[RunConfig]) -> Path:
    roots = {config.run_root for config in configs}
    if len(roots) > 1:
        raise ConfigError("You sweep over run_root, but the runs of a submission share one. Submit them one by one.")
    [root] = roots
    if "%" in str(root):
        raise ConfigError(
            f"You set run_root={root}, but to Slurm % in a file name starts a pattern. Set another folder."
        )
    return root


def _check(requests: Collection[Request], known: Facts, home: Home) -> None:
    """Compare with what the cluster allows, and let sbatch judge, before anything is written.

    Raises:
        ConfigError: with all that stands in the way.
    """
    from passingloop.submit.sbatch import script

    distinct = dict.fromkeys(requests, 1)  # how many there are to submit is not known yet
    _refuse(submission_problems(distinct, known))
    for asked in distinct:
        check_script(script(asked, home, home.code))


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _try_out_preparations(ahead: Mapping[RunConfig, Preparation], home: Home) -> None:
    """Let sbatch judge the jobs that prepare data.

    Raises:
        ConfigError: it would not accept one.
    """
    from passingloop.submit.sbatch import script

    with named_in_errors():
        for asked in dict.fromkeys(preparation.asked for preparation in ahead.values()):
            check_script(script(asked, home, home.code))


def _show(requests: Mapping[RunConfig, Request], ahead: Mapping[RunConfig, Preparation], home: Home) -> None:
    """Print the batch scripts; make nothing."""
    from passingloop.submit.sbatch import script

    code = FrozenCode.of_package(home.code).folder
    _try_out_preparations(ahead, home)
    for preparation in dict.fromkeys(ahead.values()):
        print(script(preparation.asked, home, code))
    for asked in dict.fromkeys(requests.values()):
        configs = [config for config, other in requests.items() if other == asked]
        needed = dict.fromkeys(ahead[config] for config in configs if config in ahead)
        waits = with_dependency(asked, [f"ID-OF-{preparation.asked.name}" for preparation in needed])
        print(script(waits, home, code, len(configs), configs[0].sweep.parallel))


def _missing(runs: Runs) -> dict[RunDir, RunConfig]:
    """Those that nobody works on yet; says how it is with the others."""
    if not any(run.attempts.exists() for run in runs):
        return dict(runs)
    from passingloop.status.query import states_of

    states = states_of(list(runs))
    settled = Counter(state.kind for state in states if state.kind in SETTLED)
    todo = {state.run: runs[state.run] for state in states if state.kind not in SETTLED}
    if settled and len(runs) == 1:
        [kind] = settled
        say(f"The run is {kind} already, so it is not submitted. rerun=true trains it again, beside this one.")
    elif settled:
        listed = ", ".join(f"{count} {kind}" for kind, count in settled.items())
        others = "the other one is" if len(todo) == 1 else f"the other {len(todo)} are"
        rest = f"{others} submitted" if todo else "there is nothing to submit"
        say(f"Of {len(runs)} runs {listed} already; {rest}. rerun=true trains them again, beside these.")
    return todo


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frozen:
    """What all jobs of one command share."""

    home: Home
    identity: Code
    folder: Path


def _submit(
    todo: Runs,
    requests: Mapping[RunConfig, Request],
    ahead: Mapping[RunConfig, Preparation],
    home: Home,
    known: Facts,
) -> None:
    """Submit the runs, one array for each request and as many tasks as an array may have; before them their data.

    Raises:
        ConfigError: so many may not be in the queue, or sbatch refused.
        MissingError: Slurm does not answer.
    """
    _refuse(submission_problems(Counter(requests[config] for config in todo.values()), known))
    source = FrozenCode.of_package(home.code)
    _try_out_preparations(ahead, home)
    source.write()
    frozen = _Frozen(home=home, identity=code_identity(), folder=source.folder)
    for run, config in todo.items():
        if not run.record.exists():
            record.create(run, config, signature(config), frozen.identity, durable=len(todo) == 1)
    submitted, data_jobs = 0, dict[Preparation, JobRef]()
    for asked, runs in _chunks(todo, requests, known.max_array_size):
        try:
            needed = dict.fromkeys(ahead[config] for config in runs.values() if config in ahead)
            for preparation in needed:
                if preparation not in data_jobs:
                    waiting = [run for run, config in todo.items() if ahead.get(config) == preparation]
                    data_jobs[preparation] = _submit_preparation(preparation, waiting, frozen)
            _submit_runs(asked, runs, [data_jobs[preparation] for preparation in needed], frozen)
        except PassingloopError as error:
            if submitted:
                rest = "The same command submits the rest."
                raise type(error)(f"{error} {submitted} of {len(todo)} runs are submitted. {rest}") from error
            raise
        submitted += len(runs)


def _chunks(todo: Runs, requests: Mapping[RunConfig, Request], largest: int) -> Iterator[tuple[Request, Runs]]:
    for asked in dict.fromkeys(requests[config] for config in todo.values()):
        alike = [(run, config) for run, config in todo.items() if requests[config] == asked]
        for start in range(0, len(alike), largest):
            yield asked, dict(alike[start : start + largest])


def _submit_preparation(preparation: Preparation, runs: Sequence[RunDir], frozen: _Frozen) -> JobRef:
    """Submit the job that prepares the data of `runs`. Returns the job, as `submit_tasks` does."""
    from passingloop.submit.sbatch import submit_tasks

    task = PrepareTask(runs=tuple(runs), settings=to_plain(preparation.config))
    with named_in_errors():
        job = submit_tasks([task], preparation.asked, frozen.home, frozen.folder)
    say(f"Submitted Slurm job {job.job_id}, which prepares the data first.")
    return job


def _submit_runs(asked: Request, runs: Runs, data: Sequence[JobRef], frozen: _Frozen) -> None:
    """Submit `runs` as one job or array, which waits for the jobs `data`."""
    from passingloop.submit.sbatch import submit_tasks

    parallel = next(iter(runs.values())).sweep.parallel
    tasks = [TrainTask(run=run, code=frozen.identity, settings=to_plain(config)) for run, config in runs.items()]
    waits = with_dependency(asked, [job.job_id for job in data])
    job = submit_tasks(tasks, waits, frozen.home, frozen.folder, parallel=parallel, data=data)
    what = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    at_once = f", {parallel} at once" if parallel and len(runs) > 1 else ""
    say(f"Submitted {what} as Slurm job {job.job_id}{at_once}. `passingloop status` shows how they do.")
