"""``launcher=slurm``: runs are submitted to Slurm, those of a sweep as one array, and the command returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from passingloop.config.data import DataConfig
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError, DataChanged, ModelChanged
from passingloop.inputs import InputCheck
from passingloop.plan import run_folder
from passingloop.rundir.choice import choose_run
from passingloop.rundir.code import FrozenCode
from passingloop.rundir.directory import RunDir
from passingloop.rundir.submission import Home
from passingloop.search.enrolment import check_search, is_search
from passingloop.slurm.capacity.facts import cluster_facts
from passingloop.submit.request import request
from passingloop.text import print_path, say

if TYPE_CHECKING:
    from passingloop.submit.arrays import Submitter

SETTLED = ("completed", "running", "pending")
"""How a run stands that is not to be submitted."""


def submit(
    configs: Sequence[RunConfig],
    size: Callable[[DataConfig], int | None] = lambda _: None,
    code: Callable[[Path], FrozenCode] = FrozenCode.of_package,
) -> int:
    """Submit the runs of `configs` that are not done, queued or running; the directories of all on stdout.

    Args:
        size: about how many bytes a database, bucket or hub has for a run, where that is known.
        code: the code that the jobs run, given the folder in which frozen code is kept.

    Returns the exit code: 0, or 1 if a complete run has learned from other data or another model.

    Raises:
        ConfigError: the cluster would not run one of them, or sbatch refused; what is submitted stays so.
        MissingError: Slurm is not here, or does not answer.
    """
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(cluster_facts)  # Slurm takes 15 ms, about as long as importing submitit
        from passingloop.submit.arrays import Submitter
    cluster, searches = answer.result(), is_search(configs)
    if searches:
        check_search(configs)
    home = Home.for_user(_run_root(configs))
    requests = {config: request(config, cluster) for config in configs}
    submitter = Submitter(home=home, cluster=cluster, requests=requests, size=size, code=code(home.code))
    submitter = replace(submitter, starts=submitter.check())
    if configs[0].estimate:
        from passingloop.submit.estimate import show_estimates

        show_estimates(configs, submitter)
    if configs[0].dry_run:
        _fitted(submitter, {RunDir(run_folder(config)): config for config in configs}).show()
    if configs[0].estimate or configs[0].dry_run:
        return 0
    home.create()
    with home.lock():
        if home.open_submissions():
            from passingloop.submit.repair import repair  # late, as `states_of`: 15 ms that most commands do not need

            repair(home)
        if searches:
            from passingloop.submit.search_points import submit_points  # late: brings status, 15 ms

            runs = submit_points(configs, submitter)
        else:
            runs = {choose_run(config): config for config in configs}
            if not _is_replaced(submitter, runs) and (missing := _missing(runs)):
                _fitted(submitter, missing).submit(missing)
    for run in runs:
        print_path(run.path)
    return _check_inputs(runs)


def _is_replaced(submitter: Submitter, runs: Mapping[RunDir, RunConfig]) -> bool:
    """Whether the only run waited for a job, and was submitted with another size instead."""
    run, config = next(iter(runs.items()))
    if len(runs) > 1 or not config.resources.is_ranged:
        return False
    from passingloop.submit.replacement import replace_waiting_job

    return replace_waiting_job(run, config, submitter)


def _fitted(submitter: Submitter, runs: Mapping[RunDir, RunConfig]) -> Submitter:
    """With the size that fits, for a run whose `resources` have a range. Several runs have the smallest: side by side
    they make the best use of the GPUs, and each is fitted by itself when it is requeued."""
    run, config = next(iter(runs.items()))
    if len(runs) > 1 or not config.resources.is_ranged:
        return submitter
    from passingloop.submit.fitting import fit

    home = submitter.home
    fitted = fit(config, run, submitter.cluster, home, home.code)
    if fitted is None:
        return submitter
    start = f" Slurm expects to start it at {datetime.fromtimestamp(fitted.start):%d %b %H:%M}." if fitted.start else ""
    say(f"{fitted.sentence}{start}")
    starts = {**submitter.starts, fitted.request: fitted.start}
    return replace(submitter, requests={config: fitted.request}, starts=starts)


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


def _check_inputs(runs: Mapping[RunDir, RunConfig]) -> int:
    """Check the inputs of the complete runs, and say which differ. Returns 1 if some do, else 0."""
    inputs, code = InputCheck(), 0
    for run, config in runs.items():
        try:
            if run.result.exists():
                inputs.check(run, config)
        except (DataChanged, ModelChanged) as error:
            say(f"error: {error}")
            code = error.exit_code
    return code


def _missing(runs: Mapping[RunDir, RunConfig]) -> dict[RunDir, RunConfig]:
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
