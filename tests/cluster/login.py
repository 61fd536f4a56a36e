"""A login node as a user has it: commands, and what has become of the runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from passingloop import files
from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import Cluster, Finished, finished, until
from tests.conftest import ROOT


@dataclass(frozen=True)
class Login:
    """Commands are given in `folder`; runs are in `runs` under it."""

    cluster: Cluster
    folder: Path
    env: dict[str, str]
    small: tuple[str, ...]
    """Overrides that make a run small: a second of training."""
    begun: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def but(self, **env: str) -> Login:
        """With further environment variables."""
        return replace(self, env=self.env | env)

    def train(self, *words: str) -> Finished:
        """``python train.py`` with `small` and `words`, to its end."""
        return finished(self.command(*words), self.env, self.folder)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(ROOT / "train.py"), *self.small, "tracking=none", "cluster=dev", *words]

    def submit(self, *words: str) -> list[RunDir]:
        """With ``launcher=slurm``; it has to succeed. The runs on stdout."""
        done = self.train("launcher=slurm", *words)
        assert done.returncode == 0, done.stderr
        return [RunDir(Path(line)) for line in done.stdout.splitlines()]

    def verb(self, *words: str) -> Finished:
        """``passingloop VERB …``, to its end."""
        return finished([sys.executable, "-m", "passingloop.cli.main", *words], self.env, self.folder)

    def begin(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        """``python train.py``, started, and writing into a file; ended with the test at the latest."""
        with (self.folder / "begun.txt").open("ab") as output:
            process = subprocess.Popen(
                self.command(*words),
                env=self.env | env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.begun.append(process)
        return process

    @property
    def home(self) -> Path:
        """What has been handed to Slurm."""
        [home] = (self.folder / "runs").glob(".passingloop-*")
        return home

    def jobs(self, name: str) -> list[str]:
        """The ids of the jobs of that name that Slurm knows, one for an array."""
        said = self.cluster.says("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%F")
        return sorted(set(said.split()))


def first_run(login: Login, name: str) -> RunDir:
    """The run of that name, once it is there."""
    folder = login.folder / "runs" / name
    until(lambda: any(folder.glob("*")))
    return RunDir(next(folder.glob("*")))


def events(run: RunDir, event: str) -> list[dict[str, Any]]:
    return [line for line in files.read_json_lines(run.attempts) if line["event"] == event]


def wait_for(run: RunDir, count: int = 1) -> dict[str, Any]:
    """The end of the run's `count`th attempt."""
    until(lambda: len(events(run, "end")) >= count)
    return events(run, "end")[count - 1]


def wait_for_step(run: RunDir, step: int, attempt: int = 1) -> None:
    """Until that step is in the metrics."""

    def reached() -> bool:
        return any(row["attempt"] == attempt and row["step"] >= step for row in files.read_json_lines(run.metrics))

    until(reached)
