"""What is known as Slurm answers, is silent, refuses, and is not there: with commands of Slurm made by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.live.board import Machine
from passingloop.live.run_reading import RunReader
from passingloop.live.run_row import Place
from passingloop.live.watch import Watch
from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Queued
from passingloop.slurm.queue import FIELDS, RECORD, UNIT
from tests.live.shown import Made
from tests.slurm.waiting.shown import PENDING, RUNNING, queue

NODE = "NodeName=n1 State=MIXED Partitions=main CfgTRES=cpu=8,mem=32000M,gres/gpu=4 AllocTRES=cpu=2,gres/gpu=3"
MACHINE = Machine(cpus=2, cpu_busy=0.5, memory=1e9, memory_total=4e9)
Slurm = Callable[..., None]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """Installs commands that print what they are told to, and note that they were called; answers are not kept."""
    for name in ("bin", "etc", "runtime"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "etc" / "slurm.conf").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "etc" / "slurm.conf"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))

    def slurm(jobs: str = "", own: str = "", nodes: str = NODE, *, says: str = "") -> None:
        """Args:
        says: in place of an answer, on standard error.
        """
        for path in (tmp_path / "runtime").rglob("*.jsonl"):
            path.unlink()
        for name, text in (("jobs", jobs), ("own", own), ("nodes", nodes)):
            (tmp_path / name).write_text(text)
        fails = f"echo 'error: {says}' >&2; exit 1" if says else ""
        log = f"echo called >> {tmp_path}/called"
        scripts = {
            "squeue": f'case "$*" in *--array*) cat {tmp_path}/own;; *) cat {tmp_path}/jobs;; esac',
            "scontrol": f"cat {tmp_path}/nodes",
        }
        for name, script in scripts.items():
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/sh\n{log}\n{fails}\n{script}\n")
            path.chmod(0o755)

    return slurm


def watch(*runs: RunDir) -> Watch:
    return Watch(RunReader(lambda: dict.fromkeys(runs)), lambda: MACHINE, 2.0)


def own_job(run: RunDir, job_id: str, state: str, **fields: str) -> str:
    """The job of a run as squeue prints it, for its owner; the run is queued with it."""
    ledger.append(run, Queued(submission="s1", job_id=job_id, time="2026-11-29T10:00:00+00:00"))
    usual = {
        "%i": job_id, "%F": job_id.partition("_")[0], "%j": "name", "%U": str(os.getuid()), "%T": state,
        "%r": "Priority", "%N": "", "%V": "2026-11-29T10:00:00", "%S": "N/A", "%e": "N/A", "%l": "1:00:00",
        "%P": "main", "%a": "team", "%q": "normal", "%y": "0", "%o": "/x/s1/submission.sh",
    }  # fmt: skip
    values = usual | {f"%{letter}": value for letter, value in fields.items()}
    return RECORD + UNIT.join(values[field] for field in FIELDS) + "\n"


def calls(tmp_path: Path) -> int:
    path = tmp_path / "called"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_runs_with_their_places_in_the_queue(slurm: Slurm, tmp_path: Path) -> None:
    made = Made(tmp_path / "runs")
    first, second = made.new(signature="first"), made.new(signature="second")
    own = own_job(first, "4_8", "PENDING") + own_job(second, "9", "PENDING")
    before = PENDING | {
        "JobID": "7",
        "JobArrayID": "7",
        "ArrayJobID": "7",
        "PriorityLong": "99999",
        "Reason": "Priority",
    }
    slurm(queue(before, PENDING | {"Reason": "Priority"}, RUNNING), own)
    seen = watch(first, second)
    seen.ask()
    board = seen.look()
    assert board.cluster
    assert {state: count for state, count in board.cluster.by_state.items() if count} == {"in use": 3, "idle": 1}
    assert [(use.name, use.asked) for use in board.cluster.by_qos] == [("production", 16)]
    rows = {row.state.run.path.name: row for row in board.rows}
    assert rows["first"].state.kind == "pending"
    assert rows["first"].place == Place(place=2, of=4)
    assert rows["second"].place is None, "the queue of all jobs does not show it yet"
    assert (board.machine, board.slurm.silent_since) == (None, None)
    assert board.slurm.answered


def test_slurm_is_asked_about_own_jobs_only_if_there_are_some(slurm: Slurm, tmp_path: Path) -> None:
    slurm()
    seen = watch(Made(tmp_path / "runs").completed("done"))
    seen.ask()
    assert calls(tmp_path) == 2
    seen.look()
    seen.look()
    assert calls(tmp_path) == 2


def test_a_run_that_was_submitted_meanwhile_is_not_taken_for_lost(slurm: Slurm, tmp_path: Path) -> None:
    slurm()
    run = Made(tmp_path / "runs").new()
    seen = watch(run)
    seen.ask()
    ledger.append(run, Queued(submission="s1", job_id="12"))
    [row] = seen.look(all_anew=True).rows
    assert (row.state.kind, row.state.confirmed) == ("pending", False)


def test_while_slurm_is_silent_the_last_answer_stays(slurm: Slurm, tmp_path: Path) -> None:
    run = Made(tmp_path / "runs").new()
    slurm(queue(RUNNING), own_job(run, "12", "PENDING"))
    seen = watch(run)
    seen.ask()
    answered = seen.look()
    assert answered.rows[0].state.confirmed
    slurm(says="Unable to contact slurm controller (connect failure)")
    seen.ask()
    first = seen.look()
    assert first.cluster == answered.cluster
    assert first.slurm.silent_since
    assert first.slurm.answered == answered.slurm.answered
    assert not first.rows[0].state.confirmed
    seen.ask()
    assert seen.look().slurm.silent_since == first.slurm.silent_since
    slurm(queue(RUNNING), own_job(run, "12", "PENDING"))
    seen.ask()
    assert seen.look().slurm.silent_since is None
    assert seen.look().rows[0].state.confirmed


def test_what_slurm_refuses_is_said(slurm: Slurm, tmp_path: Path) -> None:
    slurm(says="Access/permission denied")
    seen = watch()
    seen.ask()
    assert "Access/permission denied" in seen.look().slurm.problem


def test_without_slurm_this_machine_is_shown(slurm: Slurm, tmp_path: Path) -> None:
    run = Made(tmp_path / "runs").new()
    ledger.append(run, Queued(submission="s1", job_id="12"))
    seen = watch(run, Made(tmp_path / "runs").completed("done"))
    seen.ask()
    board = seen.look()
    assert (board.slurm.is_there, board.machine, board.cluster) == (False, MACHINE, None)
    assert [(row.state.kind, row.state.confirmed) for row in board.rows] == [("pending", False), ("completed", True)]


def test_answers_that_this_user_has_alone_are_asked_for_seldom(slurm: Slurm) -> None:
    slurm()
    seen = watch()
    seen.ask()
    assert seen.pause(0.0) == 30.0
