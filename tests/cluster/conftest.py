"""A real Slurm for the tests: one machine, two nodes, started once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import ROOT, Cluster, dev_slurm, finished, own_environment
from tests.cluster.desk import Desk
from tests.cluster.login import Login
from tests.runs.conftest import small, tiny  # noqa: F401  # fixtures


@pytest.fixture(scope="session")
def packages() -> None:
    """Slurm, munge and MariaDB, installed where that is allowed. With CI=true they have to be there."""
    done = finished([sys.executable, str(ROOT / "scripts" / "dev-slurm"), "install"], own_environment())
    if done.returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no Slurm: {done.stderr.strip()}")


@pytest.fixture(scope="session")
def cluster(packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """2 nodes, each with 2 GPUs that are none and 4 CPUs."""
    folder = tmp_path_factory.mktemp("slurm") / "cluster"
    done = dev_slurm("up", folder, "--nodes", "2")
    assert done.returncode == 0, done.stderr
    yield Cluster.in_folder(folder, tmp_path_factory.mktemp("jobs"))
    done = dev_slurm("down", folder)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def login(cluster: Cluster, tmp_path: Path, cache: Path, small: tuple[str, ...]) -> Iterator[Login]:  # noqa: F811
    """A login node with an empty working folder; its jobs end with the test."""
    folder, runtime = tmp_path / "work", tmp_path / "runtime"
    folder.mkdir()
    runtime.mkdir(mode=0o700)  # the answers of Slurm that commands share
    env = cluster.env | {"PASSINGLOOP_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "XDG_RUNTIME_DIR": str(runtime)}
    login = Login(cluster, folder, env, small)
    yield login
    for process in login.begun:
        process.kill()
        process.wait()
    cluster.says("scancel", f"--user={os.getuid()}")


@pytest.fixture
def desk(login: Login) -> Iterator[Desk]:
    state = {"XDG_STATE_HOME": str(login.folder / "state"), "HOME": str(login.folder)}
    (login.folder / "state").mkdir()
    desk = Desk(login.cluster, login.folder, login.env | state, login.small, login.begun)
    yield desk
    for terminal in desk.terminals:
        with contextlib.suppress(OSError):  # it has ended, or is closed
            os.kill(terminal.process, signal.SIGKILL)
            os.close(terminal.controller)


@pytest.fixture
def limits(desk: Desk) -> Iterator[Callable[[float, float], None]]:
    """Sets the site's limits for idle sessions, in seconds."""
    path = Path(desk.env["SLURM_CONF"]).with_name("passingloop.toml")

    def limits(warning: float, end: float) -> None:
        lines = ["[interactive]", f"idle_warning_minutes = {warning / 60}", f"idle_end_minutes = {end / 60}"]
        path.write_text("\n".join(lines))

    yield limits
    path.unlink(missing_ok=True)
