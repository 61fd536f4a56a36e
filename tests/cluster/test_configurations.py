"""Clusters that are set up otherwise than the one of the other tests: a run is preempted on each of them, and goes on
exactly. docs/reference/slurm-releases.md has the table."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import Cluster, dev_slurm, until
from tests.cluster.login import Login, events, wait_for_step

pytestmark = pytest.mark.slow

STEPS = ("trainer.steps=500", "checkpoint.every_steps=50", "resources.cpus=1")
"""Five to ten seconds of training: long enough for Slurm to preempt it."""

BY_PARTITION = {
    "PreemptType": "preempt/partition_prio",
    "PartitionName=main": "Nodes=n1 Default=YES DefaultTime=1:00:00 MaxTime=3-0 PriorityTier=1",
    "PartitionName=short": "Nodes=n1 DefaultTime=10:00 MaxTime=1:00:00 PriorityTier=10 PreemptMode=OFF",
}
"""Jobs in `short` preempt those in `main`, whatever their QOS."""

NO_ACCOUNTING = {
    "AccountingStorageType": "accounting_storage/none",
    "AccountingStorageHost": None,
    "AccountingStoragePort": None,
    "AccountingStoragePass": None,
    "AccountingStorageEnforce": None,
    "AccountingStorageTRES": None,
    "AccountingStoreFlags": None,
    "PriorityWeightQOS": "0",
    "PriorityWeightFairshare": "0",
    "PriorityType": "priority/basic",
}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Lines of slurm.conf in place of those of the dev cluster; None leaves a line out."""

    name: str
    changes: Mapping[str, str | None] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    """of the user's environment"""
    low: tuple[str, ...] = ("cluster.qos=scavenger",)
    high: tuple[str, ...] = ("--qos=production",)
    gpus: bool = True
    """whether the job that preempts wants the run's GPU"""
    causes: tuple[str, ...] = ("preempted", "completed")
    """of the ends of the attempts"""


PARTITIONS = {"low": ("cluster.partition=main",), "high": ("--partition=short", "--qos=interactive")}
"""Of two QOS, as each has a limit that one run and one job for all GPUs are over."""


CONFIGURATIONS = (
    Configuration(name="without slurmdbd", changes=BY_PARTITION | NO_ACCOUNTING, low=(), high=("--partition=short",)),
    Configuration(name="preempt/partition_prio", changes=BY_PARTITION, **PARTITIONS),
    Configuration(name="PreemptMode=CANCEL", changes=BY_PARTITION | {"PreemptMode": "CANCEL"}, **PARTITIONS),
    Configuration(
        name="PreemptMode=SUSPEND",
        changes=BY_PARTITION | {"PreemptMode": "SUSPEND,GANG"},
        gpus=False,
        causes=("completed",),
        **PARTITIONS,
    ),
    Configuration(name="JobRequeue=0", changes={"JobRequeue": "0"}),
    Configuration(name="SLURM_CLUSTERS", variables={"SLURM_CLUSTERS": "dev"}),
    Configuration(
        name="federation",
        variables={
            "SLURM_CLUSTERS": "dev",
            "SBATCH_CLUSTERS": "dev",
            "SQUEUE_FEDERATION": "1",
            "SACCT_FEDERATION": "1",
        },
    ),
    Configuration(name="CR_Core", changes={"SelectTypeParameters": "CR_Core", "DefMemPerCPU": None}),
)


@pytest.fixture(scope="module", params=CONFIGURATIONS, ids=lambda one: one.name.replace("/", "-"))
def configuration(request: pytest.FixtureRequest) -> Configuration:
    assert isinstance(request.param, Configuration)
    return request.param


@pytest.fixture(scope="module")
def cluster(
    configuration: Configuration, packages: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One node with two GPUs, of that configuration."""
    folder = Path(tempfile.mkdtemp(prefix="passingloop-")) / "slurm"
    assert dev_slurm("up", folder, "--nodes", "1").returncode == 0
    cluster = Cluster.in_folder(folder, tmp_path_factory.mktemp("jobs"))
    if configuration.changes:
        restart(cluster, configuration.changes)
    yield Cluster(cluster.folder, cluster.env | dict(configuration.variables), cluster.work)
    assert dev_slurm("down", folder).returncode == 0
    folder.parent.rmdir()


def restart(cluster: Cluster, changes: Mapping[str, str | None]) -> None:
    """With changed lines of slurm.conf: its daemons read some of them only when they start."""
    conf = Path(cluster.env["SLURM_CONF"])
    kept = [line for line in conf.read_text().splitlines() if key(line) not in changes]
    separator = {True: " ", False: "="}
    added = [f"{name}{separator['=' in name]}{value}" for name, value in changes.items() if value is not None]
    cluster.says("scontrol", "shutdown")
    until(lambda: not re.search(r"slurm(ctld|d-n1) +running", dev_slurm("status", cluster.folder).stdout))
    conf.write_text("\n".join([*kept, *added, ""]))
    up = dev_slurm("up", cluster.folder)
    assert up.returncode == 0, up.stderr


def key(line: str) -> str:
    """What a line of slurm.conf sets; of a partition, with its name."""
    return line.partition(" ")[0] if line.startswith("PartitionName=") else line.partition("=")[0]


@pytest.fixture(scope="session")
def known() -> dict[str, str]:
    """What an uninterrupted run's weights are, once one has been trained."""
    return {}


def test_a_preempted_run_goes_on_exactly(configuration: Configuration, login: Login, known: dict[str, str]) -> None:
    [run] = login.submit("name=makes-way", *configuration.low, *STEPS)
    wait_for_step(run, 60)
    gpus = ("--gpus-per-node=2",) if configuration.gpus else ("--cpus-per-task=4",)
    login.cluster.submit("sleep 2", *configuration.high, *gpus, "--time=1")
    until(lambda: [end["cause"] for end in events(run, "end")][-1:] == ["completed"])
    assert tuple(end["cause"] for end in events(run, "end")) == configuration.causes
    if "SUSPEND" in configuration.name:
        job = str(events(run, "queued")[-1]["job_id"])
        assert "SuspendTime=20" in login.cluster.says("scontrol", "show", "job", job)
    if not known:
        done = login.train("name=uninterrupted", *STEPS)
        assert done.returncode == 0, done.stderr
        known["weights"] = weights(RunDir(Path(done.stdout.strip())))
    assert weights(run) == known["weights"]
    status = login.verb("status", "--json")
    assert status.returncode == 0, status.stderr


def weights(run: RunDir) -> str:
    return str((run.read_result() or {})["weights_sha256"])
