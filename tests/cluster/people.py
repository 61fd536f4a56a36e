"""Unix users, where they may be created: with CI=true, or ./scripts/test --users."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.cluster.cluster import Cluster, Finished

ALLOWED = "PASSINGLOOP_TEST_USERS"

BECOME = "setpriv --inh-caps=+dac_override --ambient-caps=+dac_override --init-groups --reuid={0} --regid={0}"
"""Somebody else, who may read what the tests have made: the interpreter and the checkout may be root's alone."""

JOB = ("--chdir=/", "--output=/dev/null", "--mem=100")
"""Of a job that needs no file and little memory."""


@dataclass(frozen=True)
class Person:
    """A Unix user on a cluster."""

    name: str
    cluster: Cluster

    def run(self, *argv: str) -> Finished:
        """A command of theirs, to its end, whatever that is."""
        return self.cluster.run(*BECOME.format(self.name).split(), *argv)

    def says(self, *argv: str) -> str:
        """What a command of theirs prints; it has to succeed."""
        done = self.run(*argv)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """The id of a new job."""
        return self.says("sbatch", "--parsable", *JOB, *options, f"--wrap={script}")


@contextmanager
def unix_users(stems: Sequence[str]) -> Iterator[dict[str, str]]:
    """Users that exist as long as the tests run: for each stem the name, which no other run of the tests has."""
    if not os.environ.get(ALLOWED):
        pytest.skip("creates unix users, which it may with CI=true or ./scripts/test --users")
    if os.geteuid():
        pytest.skip("creates unix users, which only root can")
    names = {stem: f"{stem}-{os.getpid()}" for stem in stems}
    made: list[str] = []
    try:
        for name in names.values():
            subprocess.run(["useradd", "--no-create-home", "--shell=/bin/sh", name], check=True)
            made.append(name)
        yield names
    finally:
        removed = [subprocess.run(["userdel", "--force", name], check=False).returncode == 0 for name in made]
        assert all(removed), made
