"""Replays the jobs of a trace on a private cluster, in the order and at the distances that they have there."""

from __future__ import annotations

import heapq
import os
import queue
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from passingloop.errors import MissingError
from passingloop.simulation.replay.controller_log import ControllerLog
from passingloop.simulation.replay.job_requests import Limits, limit_minutes, sbatch_arguments
from passingloop.simulation.replay.pace import PREEMPTION, Pace
from passingloop.simulation.replay.private_cluster import Node, PrivateCluster
from passingloop.simulation.replay.replay_progress import Progress
from passingloop.simulation.replay.replay_records import COMMAND, Record, Reports, Stop, read_records
from passingloop.simulation.replay.saving import Saving, job_script
from passingloop.simulation.trace_jobs import TraceJob

WORKERS = 3
"""Commands at the same time."""
LOOK_S = 0.002
"""Of the machine's time, between two looks at what happened."""
TOO_MANY = ("MaxSubmitJob", "job submit limit")
"""In sbatch's message when a user has as many jobs in the queue as he may."""
AGAIN_S = 300.0
"""After which such a user tries again."""
COMMAND_S = 120.0
TELL_S = 10.0
"""Of the machine's time, between two lines on how far it is."""
NEVER_S = 1e9
"""Of the trace."""
END_S = 30.0
"""Of the machine's time, for slurmdbd to hear of the last jobs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a replay has recorded. Times are seconds since 1970."""

    records: list[Record]
    reports: Reports
    zero: float
    over: float
    factor: float
    """How much faster than the machine's the time went, on average."""
    tried_again: int
    """Jobs that were submitted later, as their users had too many in the queue."""


class Replayer:
    """One replay."""

    def __init__(
        self, cluster: PrivateCluster, jobs: Sequence[TraceJob], limits: Limits, nodes: Sequence[Node], saving: Saving
    ) -> None:
        self._cluster = cluster
        self._jobs = {job.number: job for job in jobs}
        self._limits, self._nodes, self._saving = limits, nodes, saving
        self._script = cluster.place / "etc/job.sh"
        self._reports = cluster.place / "run/reports"
        self._answers: queue.SimpleQueue[tuple[int, str, str]] = queue.SimpleQueue()
        self._rest = b""
        due = [(job.submit_s, job.number, "submit") for job in jobs]
        due += [
            (job.submit_s + (job.patience_s or 0.0), job.number, "give up")
            for job in jobs
            if job.state == "cancelled" and not job.duration_s
        ]
        heapq.heapify(due)
        self._progress = Progress(due=due)

    def run(
        self,
        length_s: float,
        tail_s: float,
        factor: float,
        tell: Callable[[str], None],
        check: Callable[[float], None],
    ) -> Replayed:
        """Replay all jobs. After the `length_s` of the trace those that wait have `tail_s` to start.

        Args:
            check: is given how long launches took until now, and raises an error if that is too long to go on.
        """
        self._prepare()
        clock = self._cluster.clock
        clock.limit(max(1.0, factor))
        log = ControllerLog(self._cluster.log)
        pipe = os.open(self._reports, os.O_RDWR | os.O_NONBLOCK)
        pace = Pace(clock=clock, factor=factor)
        began = time.monotonic()
        zero = float(int(clock.now()) + 2)
        told = began
        workers = ThreadPoolExecutor(WORKERS)
        try:
            while self._goes_on(clock.now() - zero, length_s, tail_s):
                now, at = time.monotonic(), clock.now() - zero
                self._submit_due(at, workers, pace, now)
                self._read_answers(pace, now, at)
                self._read_log(log, pace, now, at)
                self._read_reports(pipe, pace, now, at)
                pace.adjust(now, zero + self._next_s())
                if now - told > TELL_S:
                    told = now
                    tell(self._words(at, length_s))
                    if (launch := self._progress.launches.median) is not None:
                        check(launch)
                select.select([pipe], [], [], LOOK_S)
            over = clock.now()
            passed = time.monotonic() - began
            clock.go(1.0)
        finally:
            workers.shutdown(cancel_futures=True)
            os.close(pipe)
            log.close()
        return self._collect(zero, over, (over - zero) / passed)

    def _goes_on(self, at: float, length_s: float, tail_s: float) -> bool:
        """Until all have ended; after the trace's period only for those that wait, and not for ever."""
        progress = self._progress
        if at < length_s or progress.due:
            return len(progress.ended) < len(self._jobs)
        return at < length_s + tail_s and bool(progress.waiting)

    def _prepare(self) -> None:
        files = self._cluster.place / "run/jobs"
        files.mkdir(mode=0o1777)
        files.chmod(0o1777)
        os.mkfifo(self._reports)
        self._reports.chmod(0o622)
        command = {name: value for name, value in self._cluster.variables.items() if name != "SLURM_TIME_FORMAT"}
        command["PATH"] = os.environ.get("PATH", os.defpath)
        self._script.write_text(job_script(self._saving, files, self._reports, self._cluster.job_variables, command))
        self._script.chmod(0o755)

    # --- what is to be done --------------------------------------------------------------------------------------

    def _next_s(self) -> float:
        """When something will happen that is known by now, in seconds of the trace."""
        heaps = (self._progress.due, self._progress.ends)
        return min((heap[0][0] for heap in heaps if heap), default=NEVER_S)

    def _submit_due(self, at: float, workers: ThreadPoolExecutor, pace: Pace, now: float) -> None:
        progress = self._progress
        while progress.due and progress.due[0][0] <= at:
            _, number, what = heapq.heappop(progress.due)
            if what == "give up":
                if number in progress.begins or number not in progress.ids:
                    continue
                progress.ended.add(number)
                progress.waiting.discard(number)
                argv = ["scancel", "--state=PENDING", str(progress.ids[number])]
            else:
                argv = sbatch_arguments(self._jobs[number], str(self._script), self._limits, self._nodes)
            pace.begin((what, number), now)
            workers.submit(self._call, number, what, argv)
        while progress.ends and progress.ends[0][0] <= at:
            heapq.heappop(progress.ends)
            pace.happened(now)

    def _call(self, number: int, what: str, argv: Sequence[str]) -> None:
        job = self._jobs[number]
        ids = self._cluster.user_ids[job.user], self._cluster.group_id
        as_user = [f"--uid={ids[0]}", f"--gid={ids[1]}"] if argv[0] == "sbatch" else []
        code, out, err = self._command([argv[0], *as_user, *argv[1:]])
        self._answers.put((number, what, out.strip() if code == 0 else f"! {err.strip()}"))

    def _command(self, argv: Sequence[str]) -> tuple[int, str, str]:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **self._cluster.variables}
        try:
            said = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        except subprocess.TimeoutExpired:
            return 1, "", f"{argv[0]} did not end within {COMMAND_S:.0f} s"
        return said.returncode, said.stdout, said.stderr

    # --- what happened ----------------------------------------------------------------------------------------------

    def _read_answers(self, pace: Pace, now: float, at: float) -> None:
        progress = self._progress
        while True:
            try:
                number, what, answer = self._answers.get_nowait()
            except queue.Empty:
                return
            pace.over((what, number), now)
            if what != "submit":
                continue
            if not answer.startswith("!"):
                progress.ids[number] = int(answer.partition(";")[0])
                progress.waiting |= {number} - progress.begins.keys()
                pace.happened(now, PREEMPTION)
            elif any(words in answer for words in TOO_MANY):
                progress.tried_again.add(number)
                heapq.heappush(progress.due, (at + AGAIN_S, number, "submit"))
            else:
                progress.refused[number] = answer.splitlines()[-1].removeprefix("! ").rpartition("error: ")[2]
                progress.ended.add(number)

    def _read_log(self, log: ControllerLog, pace: Pace, now: float, at: float) -> None:
        progress = self._progress
        for event, job in log.events():
            if event == "allocated":
                pace.begin(("start", job), now)
                progress.launches.allocated(job, at)
            else:
                pace.over(("end", job), now)
                progress.launches.over(job, at)

    def _read_reports(self, pipe: int, pace: Pace, now: float, at: float) -> None:
        try:
            self._rest += os.read(pipe, 1 << 16)
        except BlockingIOError:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._report(line.decode().split(), pace, now, at)

    def _report(self, words: Sequence[str], pace: Pace, now: float, at: float) -> None:
        progress, number = self._progress, int(words[1])
        match words:
            case ["begin", _, job, seconds]:
                progress.ids[number] = int(job)
                progress.begins.setdefault(number, []).append(at)
                progress.waiting.discard(number)
                pace.over(("start", int(job)), now)
                heapq.heappush(progress.ends, (at + int(seconds), number))
            case ["stop", _, restarts, time_, useful]:
                progress.stops[number, int(restarts)] = Stop(at=float(time_), useful_s=float(useful))
                pace.happened(now)
                heapq.heappush(progress.ends, (at + self._saving.save_s, number))
            case ["saved", _, restarts, useful]:
                earlier = progress.stops[number, int(restarts)]
                progress.stops[number, int(restarts)] = Stop(at=earlier.at, useful_s=float(useful))
                progress.waiting.add(number)
                pace.begin(("end", progress.ids[number]), now)
            case ["end", _]:
                progress.ended.add(number)
                progress.complete.add(number)
                if len(progress.begins[number]) == 1:
                    progress.launches.computed(progress.ids[number], self._jobs[number].duration_s)
                pace.begin(("end", progress.ids[number]), now)

    def _words(self, at: float, length_s: float) -> str:
        progress = self._progress
        return (
            f"{at / 3600:.1f} of {length_s / 3600:.1f} hours: {len(progress.ids)} of {len(self._jobs)} jobs submitted, "
            f"{len(progress.waiting)} wait, {len(progress.ended)} have ended"
        )

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def _collect(self, zero: float, over: float, factor: float) -> Replayed:
        progress = self._progress
        waiting = self._command(["squeue", "--noheader", "--all", "--states=PENDING", "--format=%j|%r"])[1]
        reasons = {int(name): reason for name, _, reason in (line.partition("|") for line in waiting.splitlines())}
        reports = Reports(
            stops=progress.stops,
            ended=frozenset(progress.complete),
            limits_s={number: 60.0 * limit_minutes(job, self._limits) for number, job in self._jobs.items()},
            reasons=reasons | progress.refused,
            begins={number: [zero + at for at in begins] for number, begins in progress.begins.items()},
        )
        return Replayed(
            records=self._records(),
            reports=reports,
            zero=zero,
            over=over,
            factor=factor,
            tried_again=len(progress.tried_again),
        )

    def _records(self) -> list[Record]:
        """The accounting, once slurmdbd knows of the end of all jobs that have ended."""
        deadline = time.monotonic() + END_S
        while True:
            code, out, err = self._command(COMMAND)
            if code:
                raise MissingError(f"The accounting of the private cluster does not answer: {err.strip()}")
            records = read_records(out)
            open_ = {record.number for record in records if record.end is None}
            if not open_ & self._progress.complete or time.monotonic() > deadline:
                return records
            time.sleep(0.2)
