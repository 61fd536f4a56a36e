"""How long until the prompt of a GPU shell on a full cluster: `python bench/shell_start.py [--save]`.

64 nodes of 8 GPUs are filled with preemptible jobs that give way at once, as runs do that have saved, and are requeued:
every shell has to preempt one. `passingloop shell` and
plain `srun --pty`, which is the fastest that a user can do by hand, alternate with the same request in the same QOS.
Also: a shell on a cluster with a free GPU, and one that enters the job that runs already.
"""

import os
import pty
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from record import ROOT, record

NODES, GPUS = 64, 8
ROUNDS = int(os.environ.get("ROUNDS", "9"))
PATIENCE = 120.0

SHELL = [sys.executable, "-P", "-m", "passingloop.cli.main", "shell", "--gpus=1", "--cpus=1", "--time=1:00:00"]
SRUN = ["srun", "--qos=interactive", "--gpus-per-node=1", "--cpus-per-task=1", "--time=1:00:00", "--pty", "bash", "-i"]
PROMPT = re.compile(rb"[#$] (\x1b\[\?2004h)?$|\(job \d+ on \w+\)")
FILLER = ["sbatch", "--parsable", "--qos=scavenger", f"--gpus-per-node={GPUS}", "--requeue", "--output=/dev/null"]
GIVES_WAY = "srun --quiet sleep 36000; scontrol requeue $SLURM_JOB_ID"
"""At a preemption Slurm ends the step, and the script puts its own job back into the queue."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name, slurm(Path(name)):
        os.environ |= {"XDG_STATE_HOME": name, "TERM": "dumb", "SHELL": "/bin/bash", "HOME": name}
        free = rounds({"shell": SHELL, "srun": SRUN})
        entered = enter_again()
        fill()
        full = rounds({"shell": SHELL, "srun": SRUN})
        release = output("srun", "--version").strip()
    record(
        "shell_start",
        {
            "nodes": NODES,
            "gpus": NODES * GPUS,
            "median_seconds": {"full": medians(full), "free": medians(free), "entered_again": medians(entered)},
            "slowest_seconds": {"full": {name: round(max(times), 2) for name, times in full.items()}},
            "full_over_srun": round(statistics.median(full["shell"]) / statistics.median(full["srun"]), 2),
            "free_over_srun": round(statistics.median(free["shell"]) / statistics.median(free["srun"]), 2),
            "seconds_more_than_srun": {"full": more_than_srun(full), "free": more_than_srun(free)},
            "rounds": ROUNDS,
            "load": round(os.getloadavg()[0], 1),
            "slurm": release,
        },
    )


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(times), 2) for name, times in seconds.items()}


def more_than_srun(seconds: dict[str, list[float]]) -> float:
    return round(statistics.median(seconds["shell"]) - statistics.median(seconds["srun"]), 2)


def rounds(commands: dict[str, list[str]]) -> dict[str, list[float]]:
    """Seconds until the prompt in every round, the commands by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds[name].append(until_prompt(command))
            settle()
    return seconds


def enter_again() -> dict[str, list[float]]:
    """Of a shell whose job runs already; and of srun as a step of that job, beside it."""
    command = [*SHELL[:-3], "--keep"]
    until_prompt(command)
    [job] = output("squeue", "--noheader", "--name=passingloop-shell", "--format=%A").split()
    step = ["srun", f"--jobid={job}", "--overlap", "--pty", "bash", "-i"]
    seconds: dict[str, list[float]] = {"shell": [], "srun": []}
    for _ in range(ROUNDS):
        seconds["shell"].append(until_prompt(command))
        seconds["srun"].append(until_prompt(step))
    subprocess.run(["scancel", job], check=True)
    settle()
    return seconds


def until_prompt(command: list[str]) -> float:
    """Seconds until `command` shows a prompt in a terminal; then the shell is left."""
    started = time.perf_counter()
    process, terminal = pty.fork()
    if process == 0:
        os.execvp(command[0], command)
    shown, taken = b"", 0.0
    while True:
        assert time.perf_counter() < started + PATIENCE, shown
        if select.select([terminal], [], [], 0.2)[0]:
            with suppress(OSError):
                shown += os.read(terminal, 4096)
        if not taken and PROMPT.search(shown):
            taken = time.perf_counter() - started
            os.write(terminal, b"exit\n")
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            os.close(terminal)
            assert taken, f"exit code {os.waitstatus_to_exitcode(status)}: {shown!r}"
            return taken


def fill() -> None:
    """Let preemptible jobs take all GPUs."""
    for _ in range(NODES):
        output(*FILLER, f"--cpus-per-task={GPUS}", f"--wrap={GIVES_WAY}")
    settle()


def settle() -> None:
    """Wait until no shell is there any more, and what was preempted runs again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        states = output("squeue", "--noheader", "--format=%q %T").splitlines()
        if all(state == "scavenger RUNNING" for state in states):
            return
        assert time.monotonic() < deadline, states
        time.sleep(0.5)


def output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A cluster of this size."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    dev_slurm, where = [sys.executable, str(ROOT / "scripts" / "dev-slurm")], ["--dir", str(folder / "slurm")]
    size = [f"--nodes={NODES}", f"--gpus={GPUS}", f"--cpus={GPUS}"]
    subprocess.run([*dev_slurm, "up", *size, *where], check=True)
    try:
        name, _, value = output(*dev_slurm, "env", *where).strip().removeprefix("export ").partition("=")
        os.environ[name] = value
        yield
    finally:
        subprocess.run([*dev_slurm, "down", *where], check=True)


main()
