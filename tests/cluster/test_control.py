"""What is asked of a real Slurm, what it refuses, and how its silence ends."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from passingloop.errors import ConfigError, SlurmMissing, SlurmRefused, SlurmSilent
from passingloop.slurm import control, queue
from passingloop.slurm.batch import check_script
from passingloop.slurm.command import run_command, run_commands
from tests.cluster.cluster import Cluster, dev_slurm, until

DENIES = """#!/bin/bash
echo "scancel: error: Kill job error on job id 17: Access/permission denied" >&2
echo "scancel: error: Kill job error on job id 18_[0-3]: Access/permission denied" >&2
echo "scancel: error: Kill job error on job id 19: Job/step already completing or completed" >&2
exit 210
"""
"""Stands for scancel: that of 22.05 says this, but here no other user has jobs."""


@pytest.fixture(autouse=True)
def pointed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process asks the cluster of the tests."""
    cluster.point_here(monkeypatch)


def states(array: str) -> dict[str, str]:
    return {name: job.state for name, job in queue.jobs({os.getuid()}).items() if job.array_id == array}


def test_tasks_are_cancelled_and_others_left_alone(cluster: Cluster) -> None:
    array, over = cluster.submit("true", "--hold", "--array=0-9"), cluster.submit("true", "--hold")
    cluster.says("scancel", over)
    control.cancel_jobs([f"{array}_1", f"{array}_2", f"{array}_9", over, "999999", "999999_3"])
    assert states(array) == dict.fromkeys((f"{array}_{task}" for task in (0, 3, 4, 5, 6, 7, 8)), "PENDING")
    control.cancel_jobs([f"{array}_{task}" for task in range(400)])
    until(lambda: "PENDING" not in states(array).values())


def test_many_jobs_are_cancelled_in_several_calls(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "JOBS_PER_CALL", 2)
    jobs = [cluster.submit("true", "--hold") for _ in range(5)]
    calls, scancel = tmp_path / "calls", tmp_path / "scancel"
    scancel.write_text(f'#!/bin/bash\necho "$@" >> {calls}\nexec {shutil.which("scancel")} "$@"\n')
    scancel.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    control.cancel_jobs(jobs)
    assert {states(job)[job] for job in jobs} == {"CANCELLED"}
    assert len(calls.read_text().splitlines()) == 3


def test_a_signal_reaches_the_steps_that_run_and_nothing_else(cluster: Cluster) -> None:
    trap = "trap 'echo got it > got-$SLURM_JOB_ID; exit' TERM; touch up-$SLURM_JOB_ID; while sleep 0.1; do :; done"
    runs = cluster.submit(f'srun bash -c "{trap}"'.replace("$", r"\$"))
    waits = cluster.submit("true", "--hold")
    until((cluster.work / f"up-{runs}").exists)
    control.cancel_jobs([runs, waits, "999999"], signal="TERM")
    until((cluster.work / f"got-{runs}").exists)
    until(lambda: states(runs) == {runs: "COMPLETED"})
    assert states(waits) == {waits: "PENDING"}
    cluster.says("scancel", waits)


def test_jobs_of_others_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scancel = tmp_path / "scancel"
    scancel.write_text(DENIES)
    scancel.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SlurmRefused, match=r"only they can cancel them: 17, 18_\[0-3\]\."):
        control.cancel_jobs(["17", "18_0", "19"])


def test_a_task_is_asked_for_by_its_own_name(cluster: Cluster) -> None:
    array = cluster.submit("sleep 300", "--array=0-2", "--time=7")
    until(lambda: set(states(array).values()) == {"RUNNING"})
    for task in range(3):
        job = control.job_fields(f"{array}_{task}")
        assert (job["ArrayJobId"], job["ArrayTaskId"], job["TimeLimit"]) == (array, str(task), "00:07:00")
        assert job["JobState"] == "RUNNING"
    control.cancel_jobs([array])
    with pytest.raises(SlurmRefused) as refusal:
        control.job_fields("999999")
    assert "Invalid job id specified" in refusal.value.text


GOOD = "#!/bin/bash\n#SBATCH --nodes=1 --gpus-per-node=1 --time=10\ntrue\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--qos=nope", "Invalid qos specification. The account may not use that QOS."),
        ("--account=nope", "Set a cluster.account that you are a member of"),
        ("--partition=nope", "invalid partition specified: nope"),
        ("--gpus-per-node=9", "Requested node configuration is not available. No node has what resources"),
        ("--gres=abacus:1", "Invalid generic resource (gres) specification. Correct cluster.extra;"),
        ("--constraint=a100", "cluster.extra.constraint names a feature that no node has."),
        ("--reservation=nope", "Requested reservation is invalid. Correct it in cluster.extra."),
        ("--licenses=nope", "Invalid license specification. Correct it in cluster.extra."),
        ("--nodelist=nope", "Invalid node name specified. Correct it in cluster.extra."),
        ("--no-such-option", "unrecognized option '--no-such-option'. cluster.extra takes the long names"),
        ("--qos=interactive --array=0-3", "QOSMaxSubmitJobPerUserLimit; Job violates accounting/QOS policy"),
    ],
)
def test_what_sbatch_would_not_take_is_said_with_a_way_out(option: str, said: str) -> None:
    check_script(GOOD)
    with pytest.raises(ConfigError) as error:
        check_script(GOOD.replace("\ntrue", f"\n#SBATCH {option}\ntrue"))
    assert str(error.value).startswith("Slurm would not take the job: ")
    assert said in str(error.value)
    assert "Try " not in str(error.value)


@pytest.mark.parametrize("state", ["DRAIN", "DOWN"])
def test_what_waits_for_a_maintenance_to_end_is_not_refused(cluster: Cluster, state: str) -> None:
    cluster.says("scontrol", "update", "NodeName=n[1-2]", f"State={state}", "Reason=maintenance")
    try:
        with pytest.raises(SlurmRefused, match="node configuration is not available"):
            run_command("sbatch", "--test-only", stdin=GOOD)
        check_script(GOOD)
        job = cluster.submit("true")  # is taken
    finally:
        cluster.says("scontrol", "update", "NodeName=n[1-2]", "State=RESUME")
    until(lambda: cluster.state(job) == "COMPLETED")


def test_options_in_the_environment_do_not_reach_sbatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "nope")
    monkeypatch.setenv("SLURM_JOB_ID", "999999")
    check_script(GOOD)


def test_without_slurm_it_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmMissing, match=r"There is no squeue here, .* launcher=shell"):
        queue.jobs({0})
    with pytest.raises(SlurmMissing, match="There is no sinfo here"):
        run_commands(("sinfo",), ("squeue",))


def test_where_nobody_answers_it_is_said_so(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Path(cluster.env["SLURM_CONF"]).read_text().splitlines()
    elsewhere = tmp_path / "slurm.conf"  # where slurmctld is not
    changed = {"SlurmctldPort": "SlurmctldPort=1", "MessageTimeout": "MessageTimeout=1"}
    kept = [line for line in settings if line.partition("=")[0] not in changed]
    elsewhere.write_text("\n".join([*kept, *changed.values()]))
    monkeypatch.setenv("SLURM_CONF", str(elsewhere))
    with pytest.raises(SlurmSilent, match="Unable to contact slurm controller"):
        queue.jobs({0})


def test_without_munge_nobody_answers(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Path(cluster.env["SLURM_CONF"]).read_text().splitlines()
    elsewhere = tmp_path / "slurm.conf"
    kept = [line for line in settings if not line.startswith("AuthInfo=")]
    elsewhere.write_text("\n".join([*kept, f"AuthInfo=socket={tmp_path}/none"]))
    monkeypatch.setenv("SLURM_CONF", str(elsewhere))
    with pytest.raises(SlurmSilent, match="authentication error"):
        queue.jobs({0})


def test_a_machine_of_no_cluster_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "slurm.conf"
    monkeypatch.setenv("SLURM_CONF", str(settings))
    with pytest.raises(SlurmMissing, match=r"You set SLURM_CONF=.*/slurm\.conf, but there is no such file"):
        queue.jobs({0})
    settings.touch()
    with pytest.raises(SlurmMissing, match=r"squeue knows of no cluster here: .* set SLURM_CONF"):
        queue.jobs({0})
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "squeue").touch(0o600)
    with pytest.raises(SlurmMissing, match=r"There is no squeue here that can be run \(Permission denied\)"):
        queue.jobs({0})


def test_silence_ends_in_time(cluster: Cluster) -> None:
    [line] = [line for line in dev_slurm("status", cluster.folder).stdout.splitlines() if "slurmctld" in line]
    slurmctld = int(line.split()[-1])
    os.kill(slurmctld, signal.SIGSTOP)
    try:
        with pytest.raises(SlurmSilent, match=r"Slurm has not answered squeue within 0\.5 s"):
            run_command("squeue", timeout=0.5)
        with pytest.raises(SlurmSilent, match="Slurm has not answered sinfo"):
            run_commands(("sinfo",), ("squeue",), timeout=0.5)
    finally:
        os.kill(slurmctld, signal.SIGCONT)


def test_several_questions_are_answered_each_in_its_place() -> None:
    version, refused, partitions = run_commands(
        ("scontrol", "--version"), ("scontrol", "show", "job", "999999"), ("sinfo", "--noheader", "--format=%R")
    )
    assert isinstance(version, str) and version.startswith("slurm")
    assert isinstance(refused, SlurmRefused)
    assert isinstance(partitions, str) and set(partitions.split()) == {"main", "short"}
