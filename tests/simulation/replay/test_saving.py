"""The script that the jobs of a replay are, run by a shell: what it reports, and what it leaves to compute."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from passingloop.simulation.replay.saving import Saving, job_script

PATIENCE = 30.0


class Job:
    """A run of the script as Slurm would start it."""

    def __init__(self, folder: Path, *words: str, restarts: int | None = None) -> None:
        self.reports = folder / "reports"
        self.reports.touch()  # a file takes the lines as a pipe does
        (folder / "jobs").mkdir(exist_ok=True)
        (folder / "scontrol").write_text(f'#!/bin/sh\necho "scontrol $*" >>{self.reports}\n')
        (folder / "scontrol").chmod(0o755)
        script = folder / "job.sh"
        saving = Saving(save_s=0, restart_s=1, every_s=2)
        text = job_script(saving, folder / "jobs", self.reports, {"A": "1"}, {"PATH": f"{folder}:/usr/bin:/bin"})
        script.write_text(text.replace(f">{self.reports}", f">>{self.reports}"))
        count = {} if restarts is None else {"SLURM_RESTART_COUNT": str(restarts)}
        self.process = subprocess.Popen(
            ["/bin/sh", str(script), *words], env={"SLURM_JOB_ID": "71", **count}, start_new_session=True
        )

    def lines(self, first: str) -> list[list[str]]:
        return [words for line in self.reports.read_text().splitlines() if (words := line.split())[0] == first]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def until_reported(job: Job, first: str) -> list[str]:
    while not (found := job.lines(first)):
        assert job.process.poll() is None or job.lines(first), job.reports.read_text()
        time.sleep(0.02)
    return found[0]


@pytest.mark.timeout(60)
def test_one_that_is_not_disturbed_ends_with_its_code(tmp_path: Path) -> None:
    job = Job(tmp_path, "3", "0", "7")
    assert job.process.wait(PATIENCE) == 7
    assert job.reports.read_text().splitlines() == ["begin 3 71 0", "end 3"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_one_that_is_stopped_saves_asks_to_be_requeued_and_leaves_the_rest(tmp_path: Path, number: int) -> None:
    job = Job(tmp_path, "3", "1000", "0")
    until_reported(job, "begin")
    os.kill(job.process.pid, number)
    stop, saved = until_reported(job, "stop"), until_reported(job, "saved")
    assert until_reported(job, "scontrol") == ["scontrol", "requeue", "71"]
    os.killpg(job.process.pid, signal.SIGTERM)  # as Slurm does when it requeues, so that it need not wait to kill
    assert job.process.wait(PATIENCE) == -signal.SIGTERM
    assert (stop[1:3], saved[1:3]) == (["3", "0"], ["3", "0"])
    left = int((tmp_path / "jobs/3").read_text())
    assert left == 1000 - int(saved[3])
    assert int(stop[4]) <= int(saved[3])


@pytest.mark.timeout(60)
def test_one_that_continues_computes_the_rest_after_its_restart(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/3").write_text("500\n")
    job = Job(tmp_path, "3", "1000", "0", restarts=1)
    assert until_reported(job, "begin") == ["begin", "3", "71", "501"]
    os.kill(job.process.pid, signal.SIGTERM)
    assert until_reported(job, "saved")[1:3] == ["3", "1"]
    job.kill()
    assert int((tmp_path / "jobs/3").read_text()) <= 500
