"""The jobs and arrays of one command: checked, shown, and submitted, each after the job that prepares its data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from passingloop.config.build import to_plain
from passingloop.config.data import DataConfig
from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError, PassingloopError
from passingloop.rundir import record
from passingloop.rundir.code import Code, FrozenCode
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import JobRef
from passingloop.rundir.submission import Home
from passingloop.rundir.tasks import PrepareTask, TrainTask
from passingloop.slurm.batch import Request, check_script
from passingloop.slurm.capacity.facts import Facts
from passingloop.slurm.capacity.limits import submission_problems
from passingloop.submit.packing import Packing, packing
from passingloop.submit.preparation import Preparation, named_in_errors, preparations, with_dependency
from passingloop.submit.sbatch import script, submit_tasks
from passingloop.text import say

Runs = Mapping[RunDir, RunConfig]


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitter:
    """What a command would submit, and to which cluster."""

    home: Home
    cluster: Facts
    requests: Mapping[RunConfig, Request]
    """What the job of each run asks for."""
    size: Callable[[DataConfig], int | None]
    """About how many bytes a database, bucket or hub has for a run, where that is known."""
    code: FrozenCode
    """What the jobs run."""
    starts: Mapping[Request, float | None] = field(default_factory=dict)
    """When Slurm would start the job of each request, as far as that is known; seconds since the epoch."""

    def check(self) -> dict[Request, float | None]:
        """Compare with what the cluster allows, and let sbatch judge, before anything is written.

        Returns when Slurm would start the job of each request.

        Raises:
            ConfigError: with all that stands in the way.
        """
        distinct = {packs.request: 1 for packs, _ in self._packed(self.requests)}  # how many to submit is not known yet
        _refuse(submission_problems(distinct, self.cluster))
        return self._check_scripts(distinct)

    def show(self) -> None:
        """Print the batch scripts; make nothing.

        Raises:
            ConfigError: sbatch would not accept a job that prepares data.
        """
        data = preparations(self.requests, self.size, self.cluster)
        code = self.code.folder
        self._check_data_scripts(data)
        for preparation in dict.fromkeys(data.values()):
            print(script(preparation.asked, self.home, code))
        for packs, configs in self._packed(self.requests):
            needed = dict.fromkeys(data[config] for config in configs if config in data)
            waits = with_dependency(packs.request, [f"ID-OF-{preparation.asked.name}" for preparation in needed])
            print(script(waits, self.home, code, packs.jobs(len(configs)), packs.parallel))

    def submit(self, runs: Runs) -> None:
        """Submit `runs`: an array for each request, of as many tasks as an array may have, and before it its data.

        Raises:
            ConfigError: so many may not be in the queue, or sbatch refused.
            MissingError: Slurm does not answer.
        """
        data = preparations({config: self.requests[config] for config in runs.values()}, self.size, self.cluster)
        packed = self._packed(runs.values())
        counts = {packs.request: packs.jobs(len(configs)) for packs, configs in packed}
        _refuse(submission_problems(counts, self.cluster))
        self._check_data_scripts(data)
        self.code.write()
        code = self.code.identity()
        for run, config in runs.items():
            if not run.record.exists():
                record.create(run, config, code, durable=len(runs) == 1)
        waiting = {
            preparation: [run for run, config in runs.items() if data.get(config) == preparation]
            for preparation in dict.fromkeys(data.values())
        }
        jobs = _Jobs(submitter=self, code=code, folder=self.code.folder, waiting=waiting)
        submitted = 0
        for packs, part in self._arrays(runs):
            try:
                jobs.submit(packs, part)
            except PassingloopError as error:
                if submitted:
                    rest = "The same command submits the rest."
                    raise type(error)(f"{error} {submitted} of {len(runs)} runs are submitted. {rest}") from error
                raise
            submitted += len(part)

    def _arrays(self, runs: Runs) -> Iterator[tuple[Packing, Runs]]:
        """`runs` in parts that one job or array can have."""
        for packs, configs in self._packed(runs.values()):
            alike = [(run, config) for run, config in runs.items() if config in configs]
            largest = self.cluster.max_array_size * packs.members
            for start in range(0, len(alike), largest):
                yield packs, dict(alike[start : start + largest])

    def _packed(self, configs: Iterable[RunConfig]) -> list[tuple[Packing, dict[RunConfig, None]]]:
        """`configs` by what they ask for, in their order, and how they are packed into jobs."""
        alike: dict[Request, dict[RunConfig, None]] = {}
        for config in configs:
            alike.setdefault(self.requests[config], {})[config] = None
        return [(packing(next(iter(some)), asked, len(some)), some) for asked, some in alike.items()]

    def _check_scripts(self, requests: Iterable[Request]) -> dict[Request, float | None]:
        """Let sbatch judge the job of each request. Returns when Slurm would start each.

        Raises:
            ConfigError: it would not accept one.
        """
        return {asked: check_script(script(asked, self.home, self.home.code)) for asked in requests}

    def _check_data_scripts(self, data: Mapping[RunConfig, Preparation]) -> None:
        """`_check_scripts` for the jobs that prepare data."""
        with named_in_errors():
            self._check_scripts(dict.fromkeys(preparation.asked for preparation in data.values()))


@dataclass(kw_only=True, slots=True)
class _Jobs:
    """The jobs that one command submits, with what they share."""

    submitter: Submitter
    code: Code
    folder: Path
    """Of the frozen code."""
    waiting: Mapping[Preparation, Sequence[RunDir]]
    """The runs that wait for each preparation."""
    data: dict[Preparation, JobRef] = field(default_factory=dict)
    """Preparations that are submitted."""

    def submit(self, packs: Packing, runs: Runs) -> None:
        """Submit `runs` as one job or array, which waits for the jobs that prepare its data."""
        needed = [preparation for preparation, waiting in self.waiting.items() if not runs.keys().isdisjoint(waiting)]
        for preparation in needed:
            if preparation not in self.data:
                self.data[preparation] = self._submit_preparation(preparation)
        data = [self.data[preparation] for preparation in needed]
        members = [TrainTask(run=run, code=self.code, settings=to_plain(config)) for run, config in runs.items()]
        tasks = packs.tasks(members)
        waits = with_dependency(packs.request, [job.job_id for job in data])
        job = submit_tasks(
            tasks,
            waits,
            self.submitter.home,
            self.folder,
            parallel=packs.parallel,
            data=data,
            cluster=self.submitter.cluster.cluster,
            expected_start=self.submitter.starts.get(packs.request),
        )
        what = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
        parallel = next(iter(runs.values())).sweep.parallel
        at_once = f", {parallel} at once" if parallel and len(runs) > 1 else ""
        at_once += f", up to {packs.members} in a job" if packs.members > 1 else ""
        say(f"Submitted {what} as Slurm job {job.job_id}{at_once}. `passingloop status` shows how they do.")

    def _submit_preparation(self, preparation: Preparation) -> JobRef:
        """Submit the job that prepares data."""
        task = PrepareTask(runs=tuple(self.waiting[preparation]), settings=to_plain(preparation.config))
        with named_in_errors():
            job = submit_tasks([task], preparation.asked, self.submitter.home, self.folder)
        say(f"Submitted Slurm job {job.job_id}, which prepares the data first.")
        return job


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))
