"""What `passingloop top` sends to a terminal, and the time of a core that it takes, on a machine without Slurm."""

import json
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path
from typing import Any

from passingloop.rundir import ledger, lock
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import End, Seconds, Start
from passingloop.vitals import pulse
from passingloop.vitals.pulse import Pulse

BEGINNING, SECONDS = 6.0, 20.0
COLUMNS, LINES = 80, 24
TICKS = os.sysconf("SC_CLK_TCK")


def traffic(runs: int) -> dict[str, Any]:
    """Bytes and CPU time per second, with one run that trains, a step a second, and the others ended."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number in range(1, runs):
            run = made(root, f"{number:010x}")
            ledger.append(run, End(attempt=1, end_step=10, cause="interrupted"), durable=False)
        training = made(root, "training00")
        held = lock.acquire_lock(training)
        process, controller = pty.fork()
        if process == 0:
            environment = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PATH": name, "HOME": name}
            command = [sys.executable, "-P", "-m", "passingloop.cli.main", "top", "--run-root", name]
            os.execve(sys.executable, command, environment)
        ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        read_for(BEGINNING, controller, training, 0)
        before = cpu_seconds(process)
        sent = read_for(SECONDS, controller, training, int(BEGINNING))
        used = cpu_seconds(process) - before
        os.write(controller, b"q")
        read_for(2.0, controller, training, 100)
        os.waitpid(process, 0)
        os.close(controller)
        os.close(held)
    return {"bytes_per_second": round(sent / SECONDS), "share_of_a_core": round(used / SECONDS, 3)}


def made(root: Path, signature: str) -> RunDir:
    run = RunDir(root / "sweep" / signature)
    run.path.mkdir(parents=True)
    run.record.write_text(json.dumps({"schema": 1, "config": {"trainer": {"steps": 1000}}}))
    begun = Start(attempt=1, launcher="shell", job_id=None, nodes=["here"], processes=1, start_step=0, code={})
    ledger.append(run, begun, durable=False)
    return run


def read_for(seconds: float, controller: int, run: RunDir, step: int) -> int:
    """The bytes that are sent in that time, while the run does a step each second."""
    end, count = time.monotonic() + seconds, 0
    beaten = -1
    while (left := end - time.monotonic()) > 0:
        if (second := int(seconds - left)) != beaten:
            beaten = second
            beat(run, step + second)
        if select.select([controller], [], [], min(left, 0.2))[0]:
            try:
                count += len(os.read(controller, 65_536))
            except OSError:  # it has ended
                break
    return count


def beat(run: RunDir, step: int) -> None:
    pulse.write(run, Pulse(attempt=1, step=step, saved_step=0, seconds=Seconds(training=step)))
    row = {"time": "2026-11-29T10:00:00Z", "attempt": 1, "step": step, "split": "train", "loss": 10 / (step + 1)}
    with run.metrics.open("a") as file:
        file.write(json.dumps(row) + "\n")


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
