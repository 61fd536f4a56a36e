"""``passingloop doctor`` on a real cluster: nothing is wrong with it, until something is made wrong."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.directory import MANIFEST, RunDir
from passingloop.rundir.events import End, Seconds
from tests.cluster.cluster import Cluster, Finished, dev_slurm, finished, until
from tests.cluster.login import Login, first_run, wait_for_step

Rows = dict[str, dict[str, str]]

DOCTOR = (sys.executable, "-m", "passingloop.cli.main", "doctor", "--json", "cluster=dev", "tracking=none")

PREPARED = "trap 'exit' TERM; sleep 300 & wait"


@pytest.fixture
def patient(login: Login) -> Callable[..., Rows]:
    """`patient("--node", code=1)`: what the command says, by check; of several about one, the worst."""

    def patient(*words: str, code: int = 0) -> Rows:
        return rows(finished([*DOCTOR, *words], login.env, login.folder), code)

    return patient


def rows(done: Finished, code: int) -> Rows:
    assert done.returncode == code, done.stderr + done.stdout
    order = ["ok", "unknown", "warning", "problem"]
    found = sorted(json.loads(done.stdout), key=lambda row: order.index(row["level"]))
    return {row["check"]: row for row in found}


def wrong(found: Rows) -> dict[str, str]:
    return {check: row["level"] for check, row in found.items() if row["level"] in ("warning", "problem")}


def test_a_healthy_cluster_says_so_from_a_node_as_well(login: Login, patient: Callable[..., Rows]) -> None:
    found = patient("--node", "cluster.qos=scavenger")
    assert wrong(found) == {}
    assert found["preempt mode"]["evidence"].endswith("mode REQUEUE, GraceTime 10 s")
    assert found["cred_expire"]["evidence"] == "AuthInfo: cred_expire=10 s"
    assert found["shared"]["what"] == "n1 and this machine see each other's files in run_root."
    assert (found["shared locks"]["level"], found["scontrol"]["level"], found["gpu"]["level"]) == ("ok", "ok", "ok")
    assert found["grace"]["level"] == "unknown"  # no run has been stopped yet
    assert list(login.folder.iterdir()) == []


def test_long_saves_jobs_without_requeue_and_limits_are_problems(
    login: Login, cluster: Cluster, patient: Callable[..., Rows]
) -> None:
    run = RunDir(login.folder / "runs" / "large" / "0123456789ab")
    folder = run.checkpoint(7)
    folder.mkdir(parents=True)
    for name, written in (("weights.safetensors", 1e9), (MANIFEST, 1e9 + 30)):
        (folder / name).touch()
        os.utime(folder / name, (written, written))
    ledger.append(run, End(attempt=1, end_step=7, cause="preempted", seconds=Seconds(saving=31.0)))
    job = cluster.submit("true", "--hold", "--no-requeue")
    found = patient("cluster.qos=scavenger", "resources.nodes=3", code=1)
    assert wrong(found) == {"grace": "problem", "requeue": "problem", "limits": "problem"}
    assert str(run.path) in found["grace"]["evidence"]
    assert job in found["requeue"]["what"]
    assert found["limits"]["what"] == "You set resources.nodes=3, but partition main has 2."
    assert wrong(patient(code=1)) == {"grace": "warning", "requeue": "problem"}  # production is not preempted


@pytest.mark.slow
def test_a_run_that_was_stopped_has_measured_how_long_a_save_takes(login: Login, patient: Callable[..., Rows]) -> None:
    training = login.begin("name=measured", "trainer.steps=4000", "trainer.log_every=1")
    run = first_run(login, "measured")
    wait_for_step(run, 2)
    os.killpg(training.pid, signal.SIGINT)
    assert training.wait(60) == 130
    found = patient("cluster.qos=scavenger")
    assert found["grace"]["level"] == "ok"
    assert f"{run.path}: a stop took" in found["grace"]["evidence"]


def in_own_mounts(login: Login, script: str, *words: str) -> Finished:
    """The command with a view of the file systems that only it has, as another machine has another one."""
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("to have mounts of one's own takes root")
    return finished(["unshare", "--mount", "sh", "-ec", script, "sh", *words], login.env, login.folder)


def test_a_run_root_that_nodes_do_not_see(login: Login) -> None:
    (login.folder / "runs").mkdir()
    done = in_own_mounts(login, 'mount -t tmpfs none runs; exec "$@"', *DOCTOR, "--node")
    found = rows(done, 1)
    assert wrong(found) == {"shared": "problem"}
    assert found["shared"]["evidence"] == f"a file made in {login.folder / 'runs'} does not exist there"
    assert list((login.folder / "runs").iterdir()) == []


@pytest.mark.slow
def test_an_environment_that_nodes_do_not_have(login: Login, tmp_path: Path) -> None:
    elsewhere = tmp_path / "environment"
    elsewhere.mkdir()
    script = f'mount --bind {shlex.quote(sys.prefix)} {shlex.quote(str(elsewhere))}; exec "$@"'
    done = in_own_mounts(login, script, f"{elsewhere}/bin/python", *DOCTOR[1:], "--node")
    found = rows(done, 1)
    assert wrong(found) == {"environment": "problem"}
    assert "execve" in found["environment"]["evidence"]


@pytest.mark.slow
def test_where_no_node_is_free_nothing_is_known_of_nodes(cluster: Cluster, patient: Callable[..., Rows]) -> None:
    job = cluster.submit(PREPARED, "--nodes=2", "--exclusive")
    until(lambda: cluster.state(job) == "RUNNING")
    found = patient("--node", "--patience", "2")
    assert found["node"]["level"] == "unknown"
    assert "No node was free within 2 s" in found["node"]["what"]


@contextmanager
def settings(cluster: Cluster, **changes: str) -> Iterator[None]:
    """The cluster with other settings in slurm.conf."""
    path = Path(cluster.env["SLURM_CONF"])
    before = path.read_text()
    lines = [line for line in before.splitlines() if line.partition("=")[0] not in changes]
    path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in changes.items())]) + "\n")
    try:
        cluster.says("scontrol", "reconfigure")
        yield
    finally:
        path.write_text(before)
        cluster.says("scontrol", "reconfigure")


@pytest.mark.slow
def test_settings_of_the_cluster_that_are_wrong(cluster: Cluster, tmp_path: Path, patient: Callable[..., Rows]) -> None:
    prolog = tmp_path / "prolog"
    prolog.write_text("#!/bin/sh\necho export PATH=/nowhere\n")  # as if Slurm were not installed on the nodes
    prolog.chmod(0o755)
    socket = cluster.folder / "run" / "munge"
    cluster.says("sacctmgr", "--immediate", "--quiet", "modify", "qos", "scavenger", "set", "GraceTime=0")
    changes = {
        "JobRequeue": "0",
        "AuthInfo": f"socket={socket},cred_expire=3",
        "PrivateData": "jobs",
        "TaskProlog": str(prolog),
    }
    try:
        with settings(cluster, **changes):
            found = patient("--node", "cluster.qos=scavenger", code=1)
    finally:
        cluster.says("sacctmgr", "--immediate", "--quiet", "modify", "qos", "scavenger", "set", "GraceTime=10")
    assert wrong(found) == {
        "grace": "warning",
        "requeue": "warning",
        "cred_expire": "warning",
        "PrivateData": "warning",
        "scontrol": "problem",
    }
    assert "get no grace: a run has 5 s to save" in found["grace"]["what"]
    assert wrong(patient("cluster.qos=scavenger")) == {}


@pytest.mark.slow
def test_a_slurmdbd_and_a_slurmctld_that_are_silent(cluster: Cluster, patient: Callable[..., Rows]) -> None:
    status = dev_slurm("status", cluster.folder).stdout.splitlines()
    daemons = {line.split()[0]: int(line.split()[-1]) for line in status if line.startswith("slurm")}
    os.kill(daemons["slurmdbd"], signal.SIGSTOP)
    try:
        assert wrong(patient()) == {"accounting": "warning"}
    finally:
        os.kill(daemons["slurmdbd"], signal.SIGCONT)
    os.kill(daemons["slurmctld"], signal.SIGSTOP)
    try:
        assert wrong(patient(code=1)) == {"slurm": "problem"}
    finally:
        os.kill(daemons["slurmctld"], signal.SIGCONT)
