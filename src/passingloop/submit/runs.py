"""``launcher=slurm``: runs are handed to Slurm, those of a sweep as one array, and the command returns."""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from passingloop.config.build import to_plain
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError, PassingloopError
from passingloop.plan import signature
from passingloop.rundir import record
from passingloop.rundir.choice import choose
from passingloop.rundir.code import Code, code_identity
from passingloop.rundir.layout import RunDir
from passingloop.rundir.ledger import JobRef
from passingloop.rundir.submission import Home
from passingloop.slurm.batch import Request, try_out
from passingloop.slurm.facts import Facts
from passingloop.slurm.limits import check
from passingloop.submit.code import Snapshot
from passingloop.submit.preparation import Estimate, Preparation, after, hand_over, preparations, script, try_out_all
from passingloop.submit.request import request
from passingloop.submit.sbatch import Sbatch
from passingloop.text import say

Runs = Mapping[RunDir, RunConfig]

SETTLED = ("completed", "running", "pending")
"""How a run stands that is not to be submitted."""


def submit(configs: Sequence[RunConfig], known: Facts, estimate: Estimate, print_folder: Callable[[str], None]) -> int:
    """Hand the runs of `configs` to Slurm: those that are not done, queued or running. Returns the exit code.

    Args:
        known: what the cluster has and allows.
        estimate: what there is to prepare for a run.

    Raises:
        ConfigError: the cluster would not run one of them, or sbatch refused; what is submitted stays so.
        MissingError: Slurm is not here, or does not answer.
    """
    root = _root(configs)
    requests = {config: request(config, known) for config in configs}
    home = Home.of(root)
    _check(requests, known, home)
    if configs[0].dry_run:
        _show(requests, preparations(requests, estimate, known), home)
        return 0
    home.make()
    with alone(home):
        if home.open():
            from passingloop.submit.repair import (
                repair,  # late, as is `states_of`: 15 ms that most commands do not need
            )

            repair(home)
        runs = {choose(config): config for config in configs}
        todo = _missing(runs)
        if todo:
            ahead = preparations({config: requests[config] for config in todo.values()}, estimate, known)
            _submit(todo, requests, ahead, home, known)
    for run in runs:
        print_folder(str(run.path))
    return 0


def _root(configs: Sequence[RunConfig]) -> Path:
    roots = {config.run_root for config in configs}
    if len(roots) > 1:
        raise ConfigError("You sweep over run_root, but the runs of a submission share one. Submit them one by one.")
    [root] = roots
    if "%" in str(root):
        raise ConfigError(
            f"You set run_root={root}, but to Slurm % in a file name starts a pattern. Set another folder."
        )
    return root


def _check(requests: Mapping[RunConfig, Request], known: Facts, home: Home) -> None:
    """Compare with what the cluster allows, and let sbatch judge, before anything is written.

    Raises:
        ConfigError: with all that stands in the way.
    """
    one_of_each = dict.fromkeys(requests.values(), 1)  # how many there are to submit is not known yet
    _refuse(check(one_of_each, known))
    for asked in one_of_each:
        try_out(Sbatch(asked, home.new(), home.code, 1, None).text)


def _refuse(found: Sequence[str]) -> None:
    if found:
        raise ConfigError("\n".join(found))


def _show(requests: Mapping[RunConfig, Request], ahead: Mapping[RunConfig, Preparation], home: Home) -> None:
    """Print the batch scripts; make nothing."""
    try_out_all(ahead.values(), home)
    for preparation in dict.fromkeys(ahead.values()):
        print(script(preparation, home))
    for asked in dict.fromkeys(requests.values()):
        configs = [config for config, other in requests.items() if other == asked]
        count, parallel = len(configs), configs[0].sweep.parallel
        needed = dict.fromkeys(ahead[config] for config in configs if config in ahead)
        waits = after(asked, [f"ID-OF-{preparation.asked.name}" for preparation in needed])
        print(Sbatch(waits, home.new(), Snapshot.taken(home).folder, count, parallel).text)


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Within it no other command of this user submits under this run root; so nothing is submitted twice."""
    with home.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command is submitting; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
    code: Code
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
    _refuse(check(Counter(requests[config] for config in todo.values()), known))
    try_out_all(ahead.values(), home)
    snapshot = Snapshot.taken(home)
    snapshot.keep()
    frozen = _Frozen(home=home, code=code_identity(), folder=snapshot.folder)
    chunks = list(_chunks(todo, requests, known.max_array_size))
    durable = len(todo) == 1
    for run, config in todo.items():
        if not run.record.exists():
            record.create(run, config, signature(config), frozen.code, durable=durable)
    done, data = 0, _Data(ahead, chunks, frozen)
    for asked, runs in chunks:
        try:
            _hand_over(asked, runs, data.for_(runs), frozen)
        except PassingloopError as error:
            if done:
                rest = "The same command submits the rest."
                raise type(error)(f"{error} {done} of {len(todo)} runs are submitted. {rest}") from error
            raise
        done += len(runs)


def _chunks(todo: Runs, requests: Mapping[RunConfig, Request], largest: int) -> Iterator[tuple[Request, Runs]]:
    for asked in dict.fromkeys(requests[config] for config in todo.values()):
        alike = [(run, config) for run, config in todo.items() if requests[config] == asked]
        for start in range(0, len(alike), largest):
            yield asked, dict(alike[start : start + largest])


class _Data:
    """The jobs that prepare data, each submitted when the first runs are that wait for it."""

    def __init__(
        self, ahead: Mapping[RunConfig, Preparation], chunks: Sequence[tuple[Request, Runs]], frozen: _Frozen
    ) -> None:
        self._ahead, self._chunks, self._frozen = ahead, [runs for _, runs in chunks], frozen
        self._jobs: dict[Preparation, JobRef] = {}

    def for_(self, runs: Runs) -> list[JobRef]:
        """The jobs that an array of `runs` waits for."""
        needed = self._needed(runs)
        for one in needed:
            if one not in self._jobs:
                waiting = [run for others in self._chunks if one in self._needed(others) for run in others]
                self._jobs[one] = hand_over(one, waiting, self._frozen.home, self._frozen.folder)
        return [self._jobs[one] for one in needed]

    def _needed(self, runs: Runs) -> list[Preparation]:
        return list(dict.fromkeys(self._ahead[config] for config in runs.values() if config in self._ahead))


def _hand_over(asked: Request, runs: Runs, data: Sequence[JobRef], frozen: _Frozen) -> None:
    """One sbatch: the intent is written before it, the job id after it; `repair` mends what a crash leaves between."""
    submission = frozen.home.new()
    parallel = next(iter(runs.values())).sweep.parallel
    tasks = [{"run": str(run.path), "code": frozen.code, "config": to_plain(config)} for run, config in runs.items()]
    submission.intend(list(runs), tasks, data=data)
    try:
        waits = after(asked, [job.job_id for job in data])
        job_id = Sbatch(waits, submission, frozen.folder, len(runs), parallel).hand_over()
    except ConfigError:
        submission.give_up()
        raise
    submission.accept(job_id)
    what = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    at_once = f", {parallel} at once" if parallel and len(runs) > 1 else ""
    say(f"Submitted {what} as Slurm job {job_id}{at_once}. `passingloop status` shows how they do.")
