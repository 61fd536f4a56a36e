"""What a real Slurm says of jobs: those in the queue, those that have ended, and those on several nodes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from passingloop.slurm import accounting, control, notation, queue
from passingloop.slurm.polling.polled_queue import polled_job_ends
from tests.cluster.cluster import Cluster, dev_slurm, until

ODD = 'a | b "quoted" it\'s $HOME\n\x1fünï ' + 150 * "x"
"""The name of a folder; two of them make a path of 370 characters."""


@pytest.fixture(autouse=True)
def pointed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process asks the cluster of the tests."""
    cluster.point_here(monkeypatch)


def mine() -> dict[str, queue.Job]:
    return queue.jobs({os.getuid()})


def test_waiting_tasks_are_told_one_by_one_with_the_whole_path(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / ODD / ODD
    folder.mkdir(parents=True)
    script = folder / "script.sh"
    script.write_text("#!/bin/bash\ntrue\n")
    before = int(time.time())
    options = ("--hold", "--array=0-3%2", "--time=1-2", "--job-name=a\nb|c", "--partition=main,short")
    array = cluster.says("sbatch", "--parsable", *options, str(script))
    jobs = {name: job for name, job in mine().items() if job.array_id == array}
    assert list(jobs) == [f"{array}_{task}" for task in range(4)]
    job = jobs[f"{array}_3"]
    assert job.script == str(script)
    assert (job.name, job.user, job.state, job.reason) == ("a\nb|c", os.getuid(), "PENDING", "JobHeldUser")
    assert (job.nodes, job.started, job.ends, job.limit) == ("", None, None, 26 * 3600.0)
    assert (job.partition, job.account, job.qos) == ("main,short", "team-a", "production")
    assert job.submitted is not None
    assert before - 1 <= job.submitted <= time.time()
    cluster.says("scancel", array)


def test_a_running_job_has_nodes_and_times(cluster: Cluster) -> None:
    number = cluster.submit("sleep 300", "--nodes=2", "--time=10")
    until(lambda: mine()[number].state == "RUNNING")
    job = mine()[number]
    assert notation.node_names(job.nodes) == ["n1", "n2"]
    assert job.started is not None
    assert job.ends == job.started + 600
    cluster.says("scancel", number)
    until(lambda: mine()[number].state == "CANCELLED")


def test_a_thousand_tasks_are_a_thousand_jobs(cluster: Cluster) -> None:
    array = cluster.submit("true", "--hold", "--array=0-999")
    assert sum(job.array_id == array for job in mine().values()) == 1000
    cluster.says("scancel", array)


def test_others_have_no_part_in_the_answer(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    number = cluster.submit("true", "--hold")
    for name, value in {"SQUEUE_FORMAT": "%i", "SQUEUE_STATES": "RUNNING", "SLURM_TIME_FORMAT": "relative"}.items():
        monkeypatch.setenv(name, value)  # as people have them in their profiles
    assert mine()[number].submitted is not None
    assert queue.jobs({54321}) == {}
    assert queue.jobs(set()) == {}
    cluster.says("scancel", number)


def test_ends_are_known_to_the_accounting(cluster: Cluster) -> None:
    good, bad = cluster.submit("true"), cluster.submit("exit 3")
    waiting, array = cluster.submit("true", "--hold"), cluster.submit("true", "--hold", "--array=0-5")
    cluster.says("scancel", array)
    asked = [good, bad, waiting, f"{array}_0", f"{array}_4", "999999", "999999_1"]
    until(lambda: len(accounting.job_ends(asked)) == 4)
    found = accounting.job_ends(asked)
    assert {name: (job.job_id, job.state, job.exit_code) for name, job in found.items()} == {
        good: (good, "COMPLETED", 0),
        bad: (bad, "FAILED", 3),
        f"{array}_0": (f"{array}_0", "CANCELLED", 0),
        f"{array}_4": (f"{array}_4", "CANCELLED", 0),
    }
    assert all(job.time is not None and abs(job.time - time.time()) < 300 for job in found.values())
    assert accounting.job_ends([]) == {}
    cluster.says("scancel", waiting)


def test_ends_that_are_shown_are_asked_for_once_in_a_while(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = cluster.submit("true")
    until(lambda: number in accounting.job_ends([number]))
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    shown = polled_job_ends([number])
    assert shown == accounting.job_ends([number])
    monkeypatch.setenv("PATH", str(tmp_path))  # there is no sacct any more
    assert polled_job_ends([number]) == shown
    assert polled_job_ends([number, "999999"]) == {}, "another question"


@pytest.mark.slow
def test_of_a_requeued_job_the_last_end_counts(cluster: Cluster) -> None:
    number = cluster.submit('[ -n "$SLURM_RESTART_COUNT" ] && exit 4; sleep 300')
    until(lambda: mine()[number].state == "RUNNING")
    control.requeue_job(number)
    until(lambda: number in accounting.job_ends([number]))
    assert (accounting.job_ends([number])[number].state, control.job_fields(number)["Restarts"]) == ("FAILED", "1")


def test_without_accounting_nothing_is_known(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = cluster.submit("true")
    until(lambda: number in accounting.job_ends([number]))
    settings = Path(cluster.env["SLURM_CONF"]).read_text().splitlines()
    without = tmp_path / "slurm.conf"
    without.write_text("\n".join(line for line in settings if not line.startswith("AccountingStorage")))
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_CONF", str(without))
        assert accounting.job_ends([number]) == {}
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert accounting.job_ends([number]) == {}
    assert number in accounting.job_ends([number])


def test_a_silent_accounting_is_not_waited_for(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "TIMEOUT", 0.5)
    [line] = [line for line in dev_slurm("status", cluster.folder).stdout.splitlines() if "slurmdbd" in line]
    slurmdbd = int(line.split()[-1])
    os.kill(slurmdbd, signal.SIGSTOP)
    try:
        assert accounting.job_ends(["1"]) == {}
    finally:
        os.kill(slurmdbd, signal.SIGCONT)
    until(lambda: "1" in accounting.job_ends(["1"]))


@pytest.mark.parametrize(
    "names", ["n1", "n[1-3,7]", "n[08-11],m[1,3]", "rack[1-2]n[01-03],login", "gpu-a100-[001-012],gpu-h100-3,n[9-10]"]
)
def test_hostlists_are_written_out_as_slurm_does(cluster: Cluster, names: str) -> None:
    assert notation.node_names(names) == cluster.says("scontrol", "show", "hostnames", names).splitlines()
