"""A real Slurm for the tests, on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "scripts" / "lib"
PATIENCE = 120.0  # seconds; the machine may be busy with something else

RELEASE = os.environ.get("PASSINGLOOP_TEST_SLURM_RELEASE")
"""Of Slurm, for all clusters: ./scripts/test --slurm-release sets it. None: the release that is installed."""

# A test run that is a Slurm job itself brings these along.
FOREIGN = ("SLURM", "SBATCH_", "SRUN_", "SALLOC_")

# What becomes of the environment of a shell that evaluates what `env` prints.
EVALUATE = 'lines=$("$@") && eval "$lines" && exec env -0'

Finished = subprocess.CompletedProcess[str]


def own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def command(verb: str, folder: Path, *options: str) -> list[str]:
    if verb == "up" and RELEASE and "--release" not in options:
        options = (*options, "--release", RELEASE)
    return [sys.executable, str(ROOT / "scripts" / "dev-slurm"), verb, "--dir", str(folder), *options]


def dev_slurm(verb: str, folder: Path, *options: str) -> Finished:
    """scripts/dev-slurm, to its end."""
    return finished(command(verb, folder, *options), own_environment())


def finished(argv: list[str], env: dict[str, str], cwd: Path | None = None) -> Finished:
    return subprocess.run(
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up."""

    folder: Path
    env: dict[str, str]
    """of a shell that is pointed at it"""
    work: Path
    """where commands run, and jobs write"""

    @classmethod
    def in_folder(cls, folder: Path, work: Path) -> Cluster:
        pairs = finished(["bash", "-c", EVALUATE, "bash", *command("env", folder)], own_environment()).stdout
        return cls(folder, dict(pair.split("=", 1) for pair in pairs.split("\0") if pair), work)

    def point_here(self, here: pytest.MonkeyPatch) -> None:
        """Make this process ask the cluster."""
        for name in ("SLURM_CONF", "PATH"):
            here.setenv(name, self.env[name])

    def run(self, *argv: str) -> Finished:
        """A command on the cluster, to its end, whatever that is."""
        return finished(list(argv), self.env, self.work)

    def says(self, *argv: str) -> str:
        """What a command prints; it has to succeed."""
        done = self.run(*argv)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """The id of a new job. Its output is in `work`, in files named after the id: 7, or 7_0, 7_1 of an array."""
        name = "%A_%a" if any(option.startswith("--array") for option in options) else "%j"
        return self.says("sbatch", "--parsable", f"--output={name}", *options, f"--wrap={script}")

    def state(self, job: str) -> str:
        """In Slurm's words; one per task of an array."""
        return self.says("squeue", "--noheader", "--states=all", "--array", "--format=%T", f"--jobs={job}")


def until(happened: Callable[[], bool], pause: float = 0.2) -> None:
    """Wait for it, looking every `pause` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(pause)
