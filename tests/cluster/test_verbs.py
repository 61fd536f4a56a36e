"""``passingloop VERB`` on runs that a real Slurm has queued, runs, has put back, and has forgotten."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from passingloop.cli.main import main
from passingloop.cli.runs import cancel
from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import PATIENCE, until
from tests.cluster.login import Login, events, wait_for, wait_for_step

LONG = ("trainer.steps=20000", "trainer.log_every=1")
"""Trains until it is stopped."""

HELD = "+cluster.extra.hold=true"


def shown(login: Login, *words: str) -> list[dict[str, Any]]:
    done = login.verb("status", "--json", *words)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def states(login: Login, *words: str) -> list[str]:
    return [row["state"] for row in shown(login, *words)]


def job_of(run: RunDir) -> str:
    return str(events(run, "queued")[-1]["job_id"])


def begin(login: Login, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "passingloop.cli.main", *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=login.env, cwd=login.folder, text=True, **pipes)


def test_a_sweep_from_the_queue_to_its_end(login: Login) -> None:
    runs = login.submit("-m", "name=sweep", "trainer.seed=1,2,3", "sweep.parallel=1", *LONG)
    wait_for_step(runs[0], 2)
    rows = shown(login, "sweep")
    assert [row["run"] for row in rows] == [str(run.path) for run in runs]
    assert [row["state"] for row in rows] == ["running", "pending", "pending"]
    assert [row["job_id"] for row in rows] == [job_of(run) for run in runs]
    assert rows[0]["nodes"] == events(runs[0], "start")[0]["nodes"]
    assert (rows[0]["attempt"], rows[0]["steps"]) == (1, 20000)
    assert rows[0]["step"] >= 2
    assert rows[1]["reason"] == "JobArrayTaskLimit"
    assert "sweep.parallel" in rows[1]["message"]
    assert states(login, job_of(runs[2])) == ["pending"]
    assert len(login.verb("status").stdout.splitlines()) == 1 + 3
    assert "sweep.parallel" in login.verb("logs", str(runs[1].path)).stderr

    waiting = begin(login, "wait", "sweep")
    assert waiting.stderr is not None
    first = waiting.stderr.readline()  # it has looked once
    assert login.verb("cancel", "sweep").returncode == 0
    out, rest = waiting.communicate(timeout=PATIENCE)
    err = first + rest
    assert (waiting.returncode, out) == (1, "")
    assert f"sweep/{runs[0].path.name} is running" in err
    assert f"sweep/{runs[0].path.name} is cancelled" in err
    until(lambda: states(login) == ["cancelled"] * 3)  # `wait` may have asked while `cancel` was at work
    end = wait_for(runs[0])
    assert (end["cause"], end["end_step"]) == ("cancelled", runs[0].saved_step)
    assert [line["event"] for line in events(runs[1], "cancel")] == ["cancel"]
    assert "nothing to cancel" in login.verb("cancel", "sweep").stderr


@pytest.mark.slow
def test_what_was_not_finished_is_submitted_again_and_nothing_else(login: Login) -> None:
    [done] = login.submit("name=done")
    [first], [second] = (login.submit(f"name={name}", HELD, "checkpoint.keep=3") for name in ("first", "second"))
    assert login.verb("wait", "done").returncode == 0
    assert "nothing to submit" in login.verb("rerun").stderr
    login.cluster.says("scancel", job_of(first))  # not by our command
    until(lambda: states(login, "done", "first", "second") == ["completed", "cancelled", "pending"])
    assert "nothing to submit" in login.verb("rerun", "--failed").stderr
    again = login.verb("rerun")
    assert (again.returncode, again.stdout) == (0, f"{first.path}\n"), again.stderr
    assert [len(events(run, "queued")) for run in (done, first, second)] == [1, 2, 1]
    login.cluster.says("scontrol", "release", job_of(first))
    assert login.verb("wait", str(first.path)).returncode == 0
    launched = json.loads(first.launch(1).read_text())
    assert launched["checkpoint"]["keep"] == 3, "with the settings that it was submitted with"


@pytest.mark.slow
def test_a_log_is_followed_into_the_next_attempt(login: Login) -> None:
    [run] = login.submit("name=follow", "trainer.log_every=1", "trainer.steps=200", HELD)
    following = begin(login, "logs", "-f", "follow")
    assert following.stderr
    assert "passingloop release" in following.stderr.readline(), "why it waits"
    login.cluster.says("scontrol", "release", job_of(run))
    wait_for_step(run, 3)
    login.cluster.says("scontrol", "requeue", job_of(run))
    assert wait_for(run)["cause"] == "requeued"
    assert states(login) in (["pending"], ["running"])
    out, err = following.communicate(timeout=PATIENCE)
    assert following.returncode == 0, err
    assert "as requeued jobs do" in err
    logs = [run.log(attempt, 0).read_text() for attempt in (1, 2)]
    assert out == "".join(logs)
    assert states(login) == ["completed"]
    assert login.verb("logs", job_of(run)).stdout == logs[1]


def test_a_run_that_trains_saves_before_it_ends(
    login: Login, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of those that have trained for half a minute, only the processes are told; here without the half minute."""
    [run] = login.submit("name=stop", *LONG)
    wait_for_step(run, 3)
    for name, value in login.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(login.folder)
    monkeypatch.setattr(cancel, "STARTING", 0.0)
    monkeypatch.setattr(sys, "argv", ["passingloop", "cancel", job_of(run)])
    assert main() == 0
    out, err = capfd.readouterr()
    assert (out, "what is trained is saved first" in err) == (f"{run.path}\n", True)
    end = wait_for(run)
    assert (end["cause"], end["end_step"]) == ("cancelled", run.saved_step)
    until(lambda: login.cluster.state(job_of(run)) == "FAILED")
    assert states(login) == ["cancelled"]


@pytest.mark.slow
def test_what_has_died_is_not_shown_as_running(login: Login) -> None:
    [run] = login.submit("name=died", *LONG)
    wait_for_step(run, 2)
    assert states(login) == ["running"]
    login.cluster.says("pkill", "-KILL", "--full", str(login.folder / "runs"))  # the batch step, srun, the process
    until(lambda: login.cluster.state(job_of(run)) == "FAILED")
    until(lambda: states(login) != ["running"])
    [row] = shown(login)
    assert (row["state"], row["message"]) == ("lost", "It ended without giving a cause. Slurm says FAILED.")


def test_a_job_that_could_not_begin_says_why_in_its_log(login: Login) -> None:
    [run] = login.submit("name=unborn", HELD)
    shutil.rmtree(login.home / "code")
    login.cluster.says("scontrol", "release", job_of(run))
    until(lambda: login.cluster.state(job_of(run)) == "FAILED")
    [row] = shown(login)
    assert (row["state"], row["message"]) == ("failed", "It never began. Slurm says FAILED.")
    assert "FileNotFoundError" in login.verb("logs", "unborn").stdout


def test_what_a_dead_command_has_left_is_mended_by_looking(login: Login) -> None:
    [run] = login.submit("name=left", HELD)
    job, [submission] = job_of(run), (login.home / "submissions").iterdir()
    run.attempts.unlink()  # as if the command had died between sbatch and the ledger
    (login.home / "open" / submission.name).touch()
    record = json.loads((submission / "submission.json").read_text())
    (submission / "submission.json").write_text(json.dumps({**record, "job_id": None}))
    [row] = shown(login)
    assert (row["state"], row["job_id"]) == ("pending", job)
    assert list((login.home / "open").iterdir()) == []


def test_what_the_user_has_just_done_is_shown(login: Login) -> None:
    """Although a command has asked Slurm a moment before, each time."""
    assert states(login) == []
    for name in ("first", "second"):
        login.submit(f"name={name}", HELD)
        [row] = shown(login, name)
        assert (row["state"], row["confirmed"], row["reason"]) == ("pending", True, "JobHeldUser")
    assert login.verb("cancel", "second").returncode == 0
    assert states(login) == ["pending", "cancelled"]


def test_runs_that_wait_are_held_and_released(login: Login) -> None:
    waits = login.submit("-m", "name=waits", "trainer.seed=1,2", "+cluster.extra.begin=now+1hour")
    [trains] = login.submit("name=trains", *LONG)
    wait_for_step(trains, 1)
    held = login.verb("hold", job_of(waits[1]), "trains")
    assert (held.returncode, held.stdout) == (0, f"{waits[1].path}\n"), held.stderr
    assert held.stderr.splitlines() == [
        f"Held Slurm job {job_of(waits[1])}. passingloop release lets go.",
        f"trains/{trains.path.name} is running, so it is not held.",
    ]
    assert [row["reason"] for row in shown(login, "waits")] == ["BeginTime", "JobHeldUser"]
    assert "held by its owner: passingloop release" in login.verb("status", "waits").stdout

    def nice() -> list[str]:
        jobs = ",".join(map(job_of, [*waits, trains]))
        return login.cluster.says("squeue", "--noheader", "--array", "--format=%y", f"--jobs={jobs}").split()

    low = login.verb("priority", "waits", "trains", "low")
    assert (low.returncode, len(low.stdout.splitlines())) == (0, 3), low.stderr
    assert f"{job_of(trains)}: it counts when" in low.stderr
    assert nice() == ["12000"] * 3, "as much as fair share, age and size give at most"
    released = login.verb("release")
    assert (released.returncode, released.stdout) == (0, f"{waits[1].path}\n"), released.stderr
    assert "nothing to release" in login.verb("release").stderr
    assert login.verb("priority", "waits", "normal").returncode == 0
    assert sorted(nice()) == ["0", "0", "12000"]
    assert login.verb("cancel").returncode == 0


@pytest.mark.slow
def test_nothing_is_marked_when_slurm_cannot_be_reached(login: Login, tmp_path: Path) -> None:
    [run] = login.submit("name=far", HELD)
    text = Path(login.env["SLURM_CONF"]).read_text()
    nowhere = tmp_path / "slurm.conf"
    nowhere.write_text(
        "\n".join(line for line in text.splitlines() if "SlurmctldPort" not in line) + "\nSlurmctldPort=1\n"
    )
    far = login.but(SLURM_CONF=str(nowhere))
    done = far.verb("cancel", "far")
    assert (done.returncode, done.stdout) == (3, "")
    assert events(run, "cancel") == []
    assert login.verb("cancel", "far").returncode == 0
    assert states(login) == ["cancelled"]


def test_an_experiment_becomes_a_production_run(login: Login) -> None:
    """With the differences said, on all GPUs of a node, all data, and the experiment's own frozen code."""
    [experiment] = login.submit("name=promoted", "data.limit=40", "trainer.steps=1", HELD)
    submission = experiment.path.parents[1] / f".passingloop-{os.getuid()}" / "submissions"
    assert login.verb("promote", "promoted").returncode == 2, "it is pending"
    login.verb("cancel", "promoted")
    shown = login.verb("promote", "promoted", "--dry-run", "trainer.steps=2")
    assert (shown.returncode, shown.stdout.count("--gpus-per-node=2")) == (0, 1)
    differences = dict(line.strip().split(maxsplit=1) for line in shown.stderr.splitlines() if " -> " in line)
    assert differences["data.limit"] == "40 -> null"
    assert differences["cluster.qos"].endswith("production")
    assert differences["trainer.steps"] == "1 -> 2"
    assert len(list(submission.iterdir())) == 1, "a dry run submits nothing"
    done = login.verb("promote", "promoted", "trainer.steps=2", "~cluster.extra.hold", "data.limit=60")
    assert done.returncode == 0, done.stderr
    promoted = RunDir(Path(done.stdout.strip()))
    assert wait_for(promoted)["cause"] == "completed"
    assert (events(promoted, "start")[0]["processes"], promoted.path == experiment.path) == (2, False)
    codes = {json.loads((folder / "submission.json").read_text())["code"] for folder in submission.iterdir()}
    assert len(codes) == 1


@pytest.mark.slow
def test_what_slurm_runs_or_keeps_waiting_is_neither_deleted_nor_archived(login: Login) -> None:
    [trains] = login.submit("name=trains", *LONG)
    [waits] = login.submit("name=waits", HELD)
    wait_for_step(trains, 2)
    for verb in ("delete", "archive"):
        done = login.verb(verb, "--yes", "trains", "waits")
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{trains.path} is running" in done.stderr
        assert f"{waits.path} is pending" in done.stderr
    assert login.verb("cancel", "trains", "waits").returncode == 0
    wait_for(trains)
    until(lambda: states(login) == ["cancelled"] * 2)
    done = login.verb("archive", "--yes", "trains")
    assert done.returncode == 0, done.stderr
    assert (
        "was put into the archive before it was complete" in login.train("launcher=slurm", "name=trains", *LONG).stderr
    )
    assert login.verb("archive", "--undo", "trains").stdout == f"{trains.path}\n"
    assert trains.saved_step >= 2
    assert login.verb("delete", "--yes", "--where", "state=cancelled").returncode == 0
    assert states(login) == []


@pytest.mark.slow
def test_a_job_that_somebody_requeues_wakes_its_run(login: Login) -> None:
    """What the index knows of the run is that it was cancelled."""
    [run] = login.submit("name=again", *LONG)
    wait_for_step(run, 2)
    assert login.verb("cancel", "again").returncode == 0
    wait_for(run)
    until(lambda: states(login) == ["cancelled"])
    time.sleep(4.0)  # the index keeps only what has not changed for three seconds
    assert states(login) == ["cancelled"]
    login.cluster.says("scontrol", "requeue", job_of(run))
    until(lambda: states(login)[0] in ("pending", "running"))
    assert login.verb("delete", "--yes", "again").returncode == 1
    assert run.record.exists()
    assert login.verb("cancel", "again").returncode == 0
    until(lambda: states(login) == ["cancelled"])
