"""srun's command line, and waiting until Slurm can start a step: srun and scontrol are scripts that say what those of a
cluster say, as a slurmctld cannot be had in all these states at will."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from passingloop.errors import TimeLimitReached
from passingloop.slurm import command, steps
from passingloop.slurm.steps import Step, srun_command, wait_for_step_start


def test_a_step_over_two_nodes() -> None:
    step = Step(job_id="12", name="0a1b", nodes=("n1", "n2"), tasks=4, cpus=3, gpus=4, wait=30.0)
    assert srun_command(step)[:9] == [
        "srun", "--jobid=12", "--job-name=0a1b", "--nodes=2", "--nodelist=n1,n2", "--ntasks=8", "--ntasks-per-node=4",
        "--cpus-per-task=3", "--gres=gpu:4",
    ]  # fmt: skip
    assert srun_command(step)[-1] == "--wait=30"


def test_a_step_without_gpus_asks_for_none() -> None:
    step = Step(job_id="12", name="0a1b", nodes=("n1",), tasks=1, cpus=1, gpus=0, wait=30.0)
    assert not any(option.startswith("--gres") for option in srun_command(step))


def test_without_people_who_watch_no_pty_is_needed() -> None:
    step = Step(job_id="12", name="0a1b", nodes=("n1",), tasks=1, cpus=1, gpus=0, wait=30.0)
    assert "--unbuffered" not in srun_command(step)
    shown = Step(job_id="12", name="0a1b", nodes=("n1",), tasks=1, cpus=1, gpus=0, wait=30.0, at_a_terminal=True)
    assert "--unbuffered" in srun_command(shown)


ONE = Step(job_id="12", name="0a1b", nodes=("n1",), tasks=1, cpus=1, gpus=0, wait=30.0)
TOO_EARLY = "srun: error: Unable to create step for job 12: Memory required by task is not available"
NEVER = "srun: error: Unable to create step for job 12: Invalid generic resource (gres) specification"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for scripts `srun` and `scontrol`; srun's calls are counted in the file `calls`."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setattr(steps.time, "sleep", lambda _: None)
    return tmp_path


def script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


def srun(folder: Path, message: str, *, failures: int) -> None:
    failing = f'[ $(wc -l < {folder}/calls) -gt {failures} ] || {{ echo "{message}" >&2; exit 1; }}'
    script(folder / "srun", f"echo call >> {folder}/calls", failing)


def job_that_ends(folder: Path, seconds: float) -> None:
    end = (datetime.datetime.now() + datetime.timedelta(seconds=seconds)).isoformat(timespec="seconds")
    script(folder / "scontrol", f"echo JobId=12 JobState=RUNNING EndTime={end}")


def test_what_gets_better_is_waited_for_and_said_once(slurm: Path) -> None:
    srun(slurm, TOO_EARLY, failures=3)
    job_that_ends(slurm, 3600)
    said: list[str] = []
    wait_for_step_start(ONE, said.append)
    assert (slurm / "calls").read_text().count("call") == 4
    [sentence] = said
    assert "Memory required by task is not available" in sentence


def test_what_does_not_get_better_is_left_to_the_step_itself(slurm: Path) -> None:
    srun(slurm, NEVER, failures=3)
    wait_for_step_start(ONE, pytest.fail)
    assert (slurm / "calls").read_text().count("call") == 1


def test_what_srun_itself_waits_for_is_said_while_it_does(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SILENCE", 0.2)
    busy = "srun: Job 12 step creation temporarily disabled, retrying (Requested nodes are busy)"
    script(slurm / "srun", f'echo "{busy}" >&2', f"while [ ! -e {slurm}/free ]; do sleep 0.05; done")
    job_that_ends(slurm, 3600)
    said: list[str] = []

    def notice(sentence: str) -> None:
        said.append(sentence)
        (slurm / "free").touch()

    wait_for_step_start(ONE, notice)
    [sentence] = said
    assert "step creation temporarily disabled, retrying (Requested nodes are busy)" in sentence


def test_while_srun_waits_the_time_limit_ends_the_wait(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SILENCE", 0.2)
    script(slurm / "srun", f"date +%s > {slurm}/asked", "exec sleep 60")
    end = (datetime.datetime.now() + datetime.timedelta(hours=1)).isoformat(timespec="seconds")
    script(
        slurm / "scontrol",
        f"[ -e {slurm}/asked ] && end=$(date +%Y-%m-%dT%H:%M:%S) || end={end}",
        "echo JobId=12 JobState=RUNNING EndTime=$end",
    )
    with pytest.raises(TimeLimitReached):
        wait_for_step_start(ONE, lambda _: None)


def test_after_the_warning_nothing_is_started(slurm: Path) -> None:
    srun(slurm, TOO_EARLY, failures=0)
    job_that_ends(slurm, 10)
    with pytest.raises(TimeLimitReached):
        wait_for_step_start(ONE, lambda _: None)
    assert not (slurm / "calls").exists()
