"""Commands that die while they submit, a Slurm that is silent or refuses, odd paths: nothing is lost, nothing twice.

Faults that cannot be made for real are made by a program named sbatch or scontrol in front of the real one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import dev_slurm, until
from tests.cluster.login import Login, events, first_run, wait_for, wait_for_step
from tests.cluster.test_causes import trainers

KILLS_THE_COMMAND = """
[ "$1" != --test-only ] || exec {real} "$@"
{before}
# we were started by timeout, which was started by the command
kill -9 "$(ps -o ppid= -p "$PPID" | tr -d ' ')"
"""

FAILS_THE_SECOND_TIME = """
if [ "$1" != --test-only ]; then
    if [ -e {folder}/once ]; then
        echo "sbatch: error: Batch job submission failed: I/O error writing script/environment to file" >&2
        exit 1
    fi
    touch {folder}/once
fi
exec {real} "$@"
"""


def in_front(login: Login, name: str, script: str, **values: str) -> Login:
    """A login node where the command `name` is `script`, in which {real} stands for the real one."""
    real = shutil.which(name, path=login.env["PATH"])
    folder = login.folder / "front"
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text("#!/bin/bash" + script.format(real=real, folder=folder, **values))
    program.chmod(0o755)
    return login.but(PATH=f"{folder}:{login.env['PATH']}")


@pytest.mark.parametrize("accepted", [False, True], ids=["before sbatch", "after sbatch"])
def test_a_command_that_dies_while_it_submits_is_mended_by_the_next(login: Login, accepted: bool) -> None:
    real, name = shutil.which("sbatch", path=login.env["PATH"]), f"dies-{accepted}"
    broken = in_front(login, "sbatch", KILLS_THE_COMMAND, before=f'{real} "$@"' if accepted else "")
    words = ("-m", "launcher=slurm", f"name={name}", "trainer.seed=1,2", "+cluster.extra.hold=true")
    assert broken.train(*words).returncode == -signal.SIGKILL
    assert len(list((login.home / "open").iterdir())) == 1
    before_repair = login.jobs(name)
    assert len(before_repair) == accepted
    again = login.train(*words)
    assert again.returncode == 0, again.stderr
    [job] = login.jobs(name)
    assert not accepted or job == before_repair[0]
    runs = [RunDir(Path(line)) for line in again.stdout.splitlines()]
    assert [line["job_id"] for run in runs for line in events(run, "queued")] == [f"{job}_0", f"{job}_1"]
    assert not list((login.home / "open").iterdir())


def test_a_sweep_larger_than_an_array_comes_in_several_of_which_one_may_fail(login: Login) -> None:
    small = in_front(login, "scontrol", '\n{real} "$@" | sed "s/^MaxArraySize .*/MaxArraySize = 3/"\n')
    failing = in_front(small, "sbatch", FAILS_THE_SECOND_TIME)
    words = ("-m", "launcher=slurm", "name=chunks", "trainer.seed=1,2,3,4,5", "+cluster.extra.hold=true")
    done = failing.train(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "I/O error writing script/environment to file. 2 of 5 runs are submitted." in done.stderr
    (login.folder / "front" / "sbatch").unlink()
    again = small.train(*words)
    assert again.returncode == 0, again.stderr
    assert "2 pending already; the other 3 are submitted" in again.stderr
    runs = [RunDir(Path(line)) for line in again.stdout.splitlines()]
    assert [len(events(run, "queued")) for run in runs] == [1] * 5
    assert len(login.jobs("chunks")) == 3


@contextmanager
def silent(login: Login) -> Iterator[None]:
    """slurmctld answers nobody."""
    said = dev_slurm("status", login.cluster.folder).stdout
    [pid] = re.findall(r"slurmctld +running, process (\d+)", said)
    os.kill(int(pid), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(int(pid), signal.SIGCONT)


def test_a_silent_slurm_is_an_answer_in_time(login: Login) -> None:
    [run] = login.submit("name=silent", "+cluster.extra.hold=true")
    with silent(login):
        done = login.train("launcher=slurm", "name=other")
        assert (done.returncode, done.stdout) == (3, "")
        assert "Slurm" in done.stderr and "Traceback" not in done.stderr
        shown = login.verb("status")
        assert shown.returncode == 0, shown.stderr
        assert str(run.path.name) in shown.stdout
    assert not list((login.folder / "runs").glob("other/*"))


@pytest.mark.slow
def test_what_a_job_waits_for_is_shown(login: Login) -> None:
    """After a crash, while slurmctld answers nobody, no step can be started."""
    [run] = login.submit("name=waits", "trainer.steps=4000", "trainer.log_every=1")
    wait_for_step(run, 2)
    with silent(login):
        os.kill(trainers(run)[0], signal.SIGKILL)
        until(lambda: bool(events(run, "wait")))
        [row] = json.loads(login.verb("status", "--json", str(run.path)).stdout)
        assert row["state"] == "running"
        assert row["waits_for"].startswith("Slurm cannot start the processes yet")
        assert row["waits_since"][:19] == events(run, "wait")[0]["time"][:19]
        assert ": waits since " in login.verb("status", str(run.path)).stdout
        assert "Slurm cannot start the processes yet" in login.verb("logs", str(run.path)).stdout
    wait_for_step(run, run.saved_step + 1, attempt=2)
    [row] = json.loads(login.verb("status", "--json", str(run.path)).stdout)
    assert (row["state"], row["waits_for"], row["waits_since"]) == ("running", None, None)


SRUN_WAITS = """
echo "srun: Job 1 step creation temporarily disabled, retrying (Requested nodes are busy)" >&2
while [ ! -e {folder}/free ]; do sleep 0.1; done
exec {real} "$@"
"""


@pytest.mark.slow
def test_what_srun_waits_for_is_shown(login: Login) -> None:
    """Of a real srun the message is that of a job whose nodes other steps keep busy."""
    [run] = in_front(login, "srun", SRUN_WAITS).submit("name=srun-waits")
    until(lambda: bool(events(run, "wait")))
    [row] = json.loads(login.verb("status", "--json", str(run.path)).stdout)
    assert row["state"] == "running"
    assert "step creation temporarily disabled, retrying (Requested nodes are busy)" in row["waits_for"]
    (login.folder / "front" / "free").touch()
    assert wait_for(run)["cause"] == "completed"


SRUN_REFUSES = """
echo "srun: error: Unable to create step for job 1: Invalid generic resource (gres) specification" >&2
exit 1
"""


@pytest.mark.slow
def test_a_step_that_slurm_refuses_is_told(login: Login) -> None:
    [run] = in_front(login, "srun", SRUN_REFUSES).submit("name=srun-refuses")
    assert "Invalid generic resource (gres) specification" in wait_for(run)["message"]
    until(lambda: [line["action"] for line in events(run, "decision")] == ["again", "stop"])


@pytest.mark.slow
def test_a_job_cancelled_by_hand_saves_and_is_submitted_again(login: Login) -> None:
    words = ("name=byhand", "trainer.steps=4000", "trainer.log_every=1")
    [run] = login.submit(*words)
    wait_for_step(run, 2)
    login.cluster.says("scancel", events(run, "queued")[0]["job_id"])
    end = wait_for(run)
    assert (end["cause"], end["end_step"]) == ("cancelled", run.saved_step)
    until(lambda: login.cluster.state(events(run, "queued")[0]["job_id"]) == "CANCELLED")
    assert login.submit(*words) == [run]
    wait_for_step(run, run.saved_step + 1, attempt=2)


def test_odd_paths(login: Login) -> None:
    root = login.folder / 'it\'s a "folder" with $HOME & `more`' / ("x" * 120) / ("y" * 90)
    [run] = login.but(PASSINGLOOP_RUN_ROOT=str(root)).submit("name=odd")
    assert run.path.is_relative_to(root)
    assert wait_for(run)["cause"] == "completed"


def test_a_pattern_in_the_path_is_refused(login: Login) -> None:
    done = login.but(PASSINGLOOP_RUN_ROOT=str(login.folder / "100%j")).train("launcher=slurm")
    assert done.returncode == 2
    assert "% in a file name starts a pattern" in done.stderr


def test_two_commands_at_once_submit_once(login: Login) -> None:
    words = ("launcher=slurm", "-m", "name=twice", "trainer.seed=1,2", "+cluster.extra.hold=true")
    both = [login.begin(*words) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert len(login.jobs("twice")) == 1


def test_a_run_that_trains_here_is_not_submitted(login: Login) -> None:
    words = ("name=here", "trainer.steps=4000", "trainer.log_every=1")
    here = login.begin(*words)
    run = first_run(login, "here")
    wait_for_step(run, 1)
    done = login.train("launcher=slurm", *words)
    assert done.returncode == 0
    assert "The run is running already, so it is not submitted" in done.stderr
    assert login.jobs("here") == []
    here.send_signal(signal.SIGTERM)
    assert here.wait(60) == 130


def test_a_node_without_scontrol_does(login: Login) -> None:
    fronted = in_front(login, "scontrol", '\nexec {real} "$@"\n')
    [run] = fronted.submit("name=without", "+cluster.extra.hold=true", "resources=gpu1", "resources.cpus=2")
    (login.folder / "front" / "scontrol").write_text("#!/bin/bash\nexit 127\n")
    login.cluster.says("scontrol", "release", events(run, "queued")[0]["job_id"])
    assert wait_for(run)["cause"] == "completed"
    assert events(run, "start")[0]["nodes"] == ["n1"]
    assert "CPU, 2 threads" in run.latest_log.read_text()


def state(login: Login, run: RunDir) -> str:
    [row] = json.loads(login.verb("status", "--json", str(run.path)).stdout)
    return str(row["state"])


def test_a_run_on_a_node_that_went_down_is_not_shown_as_running(login: Login) -> None:
    [run] = login.submit("name=node-down", "trainer.steps=4000", "trainer.log_every=1", "+cluster.extra.nodelist=n2")
    wait_for_step(run, 1)
    assert state(login, run) == "running"
    login.cluster.says("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=test")
    try:
        until(lambda: state(login, run) == "pending")  # requeued, for another time
    finally:
        login.cluster.run("scontrol", "update", "NodeName=n2", "State=RESUME")  # unless it has come back by itself


def test_a_run_whose_job_died_without_a_word_is_lost(login: Login) -> None:
    [run] = login.submit("name=killed", "trainer.steps=4000", "trainer.log_every=1")
    wait_for_step(run, 1)
    job = events(run, "queued")[0]["job_id"]
    [submission] = (login.home / "submissions").iterdir()
    login.cluster.says("pkill", "-KILL", "--full", f"{submission.name}|{run.path}")  # all that the job consists of
    until(lambda: login.cluster.state(job) in ("FAILED", "CANCELLED", "NODE_FAIL"))
    assert events(run, "end") == []
    assert state(login, run) == "lost"
    assert login.verb("rerun", "--failed", "killed").stdout.split() == [str(run.path)]
    assert len(login.jobs("killed")) == 2
