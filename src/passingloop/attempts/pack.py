"""In a batch job that packs several runs (`sweep.pack`): each has an own supervisor, and they train side by side.

The members share the job's GPU and CPUs. The end of one does not touch the others. What Slurm does to the job it does
to all of them: each saves, and the job goes back into the queue once, for those that are not done.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from passingloop.attempts.decision import BY_A_PERSON
from passingloop.attempts.requeue import BatchJob, requeue_members
from passingloop.attempts.sharing import measure, members_that_fit
from passingloop.attempts.training import ignore_signals, train
from passingloop.launch.allocation import Allocation
from passingloop.rundir import ledger
from passingloop.rundir.code import code_environment
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision, End, Event, Wait
from passingloop.rundir.ledger import Ledger
from passingloop.rundir.submission import Submission
from passingloop.rundir.tasks import PackTask, TrainTask
from passingloop.search.findings import is_undecided
from passingloop.text import exit_code, say
from passingloop.vitals import pulse

MEASURING = 10.0
"""Seconds of training after which the first member is measured."""

PAUSE = 0.2

TURN = "Other runs that share its job train before it."
"""What a member waits for that has not begun."""


def train_pack(task: PackTask, submission: Submission, code: Path) -> int:
    """Train the members, until each is done or not to continue in this job. Returns the highest exit code."""
    allocation = Allocation.current()
    assert allocation, "we are in a batch job"
    members = [member for member in task.members if _continues_here(member, allocation.name)]
    pack = _Pack(submission, code, at_once=task.at_once or 1, waiting=deque(members))
    is_measured = task.at_once is not None
    while pack.waiting or pack.running:
        pack.begin_members()
        if not is_measured and (first := pack.measurable()):
            pack.at_once, is_measured = _measured_room(first, task.share), True
        time.sleep(PAUSE)
        pack.end_members()
    jobs = [BatchJob(allocation=allocation, task=member, submission=submission, code=code) for member in members]
    requeue_members([job for job in jobs if _is_to_be_requeued(job.task.run)])
    return pack.worst


@dataclass(slots=True)
class _Pack:
    """The members of a pack, by how far they are."""

    submission: Submission
    code: Path
    at_once: int
    waiting: deque[TrainTask]
    running: dict[RunDir, subprocess.Popen[bytes]] = field(default_factory=dict)
    told: set[RunDir] = field(default_factory=set)
    """Those whose ledger says that they wait."""
    worst: int = 0
    """The highest exit code of those that have ended."""

    def begin_members(self) -> None:
        while self.waiting and len(self.running) < self.at_once:
            run = self.waiting.popleft().run
            command = [sys.executable, "-P", "-u", "-m", "passingloop.attempts.pack"]
            command += [str(self.submission.folder), str(self.code), str(run.path)]
            self.running[run] = subprocess.Popen(command, env=code_environment(os.environ, self.code))
        for run in {member.run for member in self.waiting} - self.told:
            ledger.append(run, Wait(attempt=ledger.read(run).next_attempt, reason=TURN))
            self.told.add(run)

    def end_members(self) -> None:
        """Take out those that have ended. After one that Slurm has stopped, no other begins."""
        for run, process in list(self.running.items()):
            if process.poll() is not None:
                del self.running[run]
                self.worst = max(self.worst, abs(process.returncode))
                if _is_to_be_requeued(run) or _is_stopped_with_job(run):
                    self.waiting.clear()

    def measurable(self) -> RunDir | None:
        """The only running member, if it has trained long enough to be measured."""
        for run in self.running:
            beat = pulse.read(run, ledger.read(run).next_attempt - 1)
            if beat and beat.seconds.training >= MEASURING:
                return run
        return None


def _measured_room(run: RunDir, most: int) -> int:
    use = measure(run)
    count = members_that_fit(use, most)
    say(f"{run.path} uses {use}, so {'it trains alone' if count == 1 else f'{count} runs train at once'}.")
    return count


def _continues_here(member: TrainTask, job_id: str) -> bool:
    """Whether attempts at a member are to be made in this job, which may have been requeued for other members; or at
    least, at a rung of a search, what follows is to be decided."""
    run, past = member.run, ledger.read(member.run)
    newest = past.newest_job
    if run.result.exists() or past.is_cancel_requested or newest is None or newest.job_id != job_id:
        return False
    match _last(past):
        case Decision(action=action):
            return action not in ("stop", "resubmit")
        case End(cause="paused"):
            return is_undecided(run, member.config)
        case End(cause=cause):
            return cause not in BY_A_PERSON
    return True


def _last(past: Ledger) -> Event:
    """The last event that changes what is to be done."""
    return next(event for event in reversed(past.events) if not isinstance(event, Wait))


def _is_to_be_requeued(run: RunDir) -> bool:
    newest = _last(ledger.read(run))
    return isinstance(newest, Decision) and newest.action == "requeue"


def _is_stopped_with_job(run: RunDir) -> bool:
    """Whether the run's last attempt ended because the whole job was cancelled."""
    past = ledger.read(run)
    ends = past.events_of(End)
    return bool(ends) and ends[-1].cause == "cancelled" and not past.is_cancel_requested


def main(submission: str, code: str, run: str) -> int:
    """Supervise the attempts at one member, in a process of its own. Returns the exit code of the last."""
    ignore_signals()
    return exit_code(functools.partial(_train_member, Submission.from_folder(Path(submission)), Path(code), Path(run)))


def _train_member(submission: Submission, code: Path, run: Path) -> int:
    pack = submission.read_task(int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")))
    assert isinstance(pack, PackTask)
    task = pack.member(RunDir(run))
    os.umask(0o777 & ~int(task.settings["run_mode"], 8))
    return train(task, submission, code, share=pack.share)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
