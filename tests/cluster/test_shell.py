"""``passingloop shell`` on a real cluster: with a real terminal, ssh client and server."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.cluster import Finished, finished, until
from tests.cluster.desk import PASSINGLOOP, Desk
from tests.cluster.login import events, first_run

VARIABLE = "echo job=$SLURM_JOB_ID gpu=$CUDA_VISIBLE_DEVICES"


def fill(desk: Desk) -> list[str]:
    """Jobs that have all GPUs."""
    options = ("--parsable", "--gpus-per-node=2", "--wrap=sleep 600", "--output=/dev/null")
    jobs = [desk.cluster.says("sbatch", *options) for _ in range(2)]
    until(lambda: all(desk.cluster.state(job) == "RUNNING" for job in jobs))
    return jobs


def test_a_shell_that_two_terminals_share(desk: Desk) -> None:
    first = desk.terminal("shell")
    job = first.read_until(r"Slurm job (\d+) on n\d: 1 GPU, 2 CPUs(?:, after \d+ s)?\. `exit` ends it\.")[1]
    first.read_until(rf"\(job {job} on n\d\) ")
    first.type(f"command -v python; {VARIABLE}\n")
    first.read_until(re.escape(f"{Path(sys.executable).parent}/python"))
    first.read_until(f"job={job} gpu=[01]\r")
    second = desk.terminal("shell")
    second.read_until(rf"\(job {job} on n\d\) ")
    words = ["printf", "<%s>", "a  b", "", "*", "--", "$HOME", "é\n"]
    assert desk.verb("shell", "--", *words).stdout == "<a  b><><*><--><$HOME><é\n>"
    first.type("exit 3\n")
    assert first.exit_code() == 3
    second.type("sleep 60\n")
    time.sleep(1.0)
    second.type("\x03")  # reaches what runs in the foreground, and nothing else
    second.type(f"{VARIABLE}\n")
    second.read_until(f"job={job} gpu=[01]\r")
    assert desk.active() == [job]
    second.type("exit\n")
    assert second.exit_code() == 0
    until(lambda: desk.active() == [])
    assert "everybody has left" in desk.output()
    [name] = [path.name for path in desk.folder.glob("state/passingloop/interactive/sessions/*")]
    until(lambda: not Path(f"/tmp/passingloop-{os.getuid()}-{name}").exists())


def test_one_command_trains_and_the_job_ends_with_it(desk: Desk) -> None:
    done = desk.verb("shell", "--gpus=2", "--", *desk.command("name=one"))
    assert done.returncode == 0, done.stderr
    run = first_run(desk, "one")
    [start] = events(run, "start")
    assert (start["launcher"], start["processes"]) == ("shell", 2)
    assert done.stdout.splitlines() == [str(run.path)]
    until(lambda: desk.active() == [])
    until(lambda: desk.cluster.says("sacct", "-nXP", "-o", "State", "-j", start["job_id"]) == "COMPLETED")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--", "sh", "-c", "exit 7"], 7, ""),
        (["--", "no-such-program"], 127, "no-such-program cannot be run on"),
        (["python", "train.py"], 2, "Write -- before the command: passingloop shell -- python train.py"),
        (["--gpus=3"], 2, "You set --gpus=3"),
        (["--partition=none"], 2, "You set --partition=none, but this cluster has only main, short."),
        (["--via=login"], 2, "Add --ssh"),
        (["--time=soon"], 2, "soon is not minutes, H:MM:SS or D-HH:MM:SS"),
    ],
)
def test_how_a_command_ends(desk: Desk, words: list[str], code: int, said: str) -> None:
    done = desk.verb("shell", *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_a_lost_terminal_ends_nothing(desk: Desk) -> None:
    lost = desk.terminal("shell")
    job = lost.read_until(r"\(job (\d+) on n\d\) ")[1]
    lost.close()  # as when a window is closed, or a connection breaks
    until(lambda: f"{job}.0" not in desk.cluster.says("squeue", "--steps", "--noheader", "--format=%i"))
    assert job in desk.verb("shell", "--", "sh", "-c", VARIABLE).stdout
    done = desk.verb("shell", "--gpus=2")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr + desk.output()
    assert f"your shell has Slurm job {job} already, with 1 GPU and " in done.stderr
    assert f"Ended Slurm job {job}." in desk.verb("shell", "--end").stderr
    until(lambda: desk.active() == [])


def test_what_waits_says_why_and_ctrl_c_cancels_it(desk: Desk) -> None:
    fill(desk)
    waiting = desk.terminal("shell")
    job = waiting.read_until(r"Slurm job (\d+) waits: (what it asks for is in use|jobs of higher priority)")[1]
    assert desk.active() == [job]
    joined = desk.terminal("shell")
    joined.read_until(f"Slurm job {job} waits: .*Ctrl-C ends the waiting")
    joined.type("\x03")
    assert joined.exit_code() == 130
    assert desk.active() == [job]
    waiting.type("\x03")
    assert waiting.exit_code() == 130
    waiting.read_until(f"Slurm job {job} is cancelled")
    until(lambda: desk.active() == [])


def test_a_shell_is_left_with_its_exit_code_while_something_runs_in_the_background(desk: Desk) -> None:
    shell = desk.terminal("shell")
    shell.read_until(r"\(job \d+ on n\d\) ")
    shell.type("sleep 600 &\n")
    shell.type("exit 5\n")
    assert shell.exit_code() == 5
    until(lambda: desk.active() == [])


def test_an_idle_shell_is_warned_and_ended(desk: Desk, limits: Callable[[float, float], None]) -> None:
    limits(4, 6)
    idle = desk.terminal("shell", "--keep")
    job = idle.read_until(r"\(job (\d+) on n\d\) ")[1]
    idle.read_until(f"Slurm job {job} is idle: neither GPU, CPU nor keyboard were in use for . s")
    idle.read_until(f"Slurm job {job} ends: neither GPU, CPU nor keyboard were in use for")
    idle.exit_code()
    until(lambda: desk.active() == [])


@pytest.mark.slow
def test_typing_and_computing_keep_a_shell(desk: Desk, limits: Callable[[float, float], None]) -> None:
    limits(9, 18)  # Linux tells the time of a terminal in units of 8 s
    kept = desk.terminal("shell")
    job = kept.read_until(r"\(job (\d+) on n\d\) ")[1]
    for _ in range(2):
        kept.read_until("press Enter to keep it")
        kept.type("\n")
    began = time.monotonic()
    kept.type("timeout 25 sh -c 'while :; do :; done'; echo do''ne\n")
    kept.read_until(r"done\r")
    assert time.monotonic() - began > 20
    assert "idle" not in kept.shown
    kept.read_until(f"Slurm job {job} ends")


@dataclass(frozen=True)
class Ssh:
    """A real ssh client with the entry that `passingloop shell --ssh` prints."""

    desk: Desk
    entry: Path

    def run(self, *words: str, program: str = "ssh") -> Finished:
        return finished(self.command(*words, program=program), self.desk.env, self.desk.folder)

    def command(self, *words: str, program: str = "ssh") -> list[str]:
        return [program, "-F", str(self.entry), *words]


@pytest.fixture
def ssh(desk: Desk) -> Ssh:
    for program in ("ssh", "sshd", "ssh-keygen"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no {program}")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # what starts the system's own server makes it
    done = desk.verb("shell", "--ssh")
    assert done.returncode == 0, done.stderr
    # What stands beside our Python may be another checkout's.
    entry = done.stdout.replace(shlex.quote(f"{Path(sys.executable).parent}/passingloop"), shlex.join(PASSINGLOOP))
    (desk.folder / "entry").write_text(entry)
    return Ssh(desk, desk.folder / "entry")


def test_ssh_starts_the_job_enters_it_and_copies_files(ssh: Ssh) -> None:
    done = ssh.run("passingloop", f"{VARIABLE}; command -v python; cat; exit 9")
    assert done.returncode == 9, done.stderr
    job = re.match(r"job=(\d+) gpu=[01]\n", done.stdout)
    assert job, done.stdout
    assert done.stdout.splitlines()[1] == f"{Path(sys.executable).parent}/python"
    content = os.urandom(1 << 20)
    (ssh.desk.folder / "there").write_bytes(content)
    target = f"passingloop:{ssh.desk.folder}/back"
    done = ssh.run("-q", str(ssh.desk.folder / "there"), target, program="scp")
    assert done.returncode == 0, done.stderr
    assert (ssh.desk.folder / "back").read_bytes() == content
    assert ssh.desk.active() == [job[1]]  # it stays for the next connection
    with (ssh.desk.folder / "state/passingloop/interactive/ssh/known_hosts").open("w") as known:
        known.write("passingloop ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\n")
    done = ssh.run("passingloop", "true")
    assert done.returncode == 255
    assert "IDENTIFICATION HAS CHANGED" in done.stderr


def test_ssh_survives_a_wait_in_the_queue_and_a_broken_connection(ssh: Ssh) -> None:
    blocking = fill(ssh.desk)
    sleeper = ssh.desk.folder / "sleeper"
    command = ssh.command("passingloop", f"sleep 600 & echo $! > {sleeper}; wait")
    with (ssh.desk.folder / "said").open("wb") as said:
        waiting = subprocess.Popen(
            command, env=ssh.desk.env, cwd=ssh.desk.folder, stdin=subprocess.DEVNULL, stderr=said
        )
    ssh.desk.begun.append(waiting)
    until(lambda: "waits: " in (ssh.desk.folder / "said").read_text())
    ssh.desk.cluster.says("scancel", *blocking)
    until(sleeper.exists)
    [job] = ssh.desk.active()
    waiting.kill()
    waiting.wait()
    done = ssh.run("passingloop", f"{VARIABLE}; kill -0 $(cat {sleeper}) && echo alive")
    assert f"job={job} " in done.stdout
    assert "alive" in done.stdout  # as an editor's server has to be
