"""scripts/dev-slurm: what it starts is a whole Slurm, and what it stops is all of that and nothing else."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import LIBRARY, Cluster, command, dev_slurm, own_environment, until

pytestmark = pytest.mark.process

# Every path has to do, also one too long for a socket, and with what shells and Slurm's files take for syntax.
ODD = 'it\'s a $folder, "quoted" #1 [2-3] ' + 45 * "long"


def processes(folder: Path) -> dict[int, str]:
    """What runs for the cluster in `folder`, by another way than its own: the files they have open."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            open_files = {str(link.readlink()) for link in (entry / "fd").iterdir()}
            command_line = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if any(name.startswith(f"{folder}/") for name in open_files) and "dev-slurm" not in command_line:
            found[int(entry.name)] = command_line
    return found


# --- a cluster that is up --------------------------------------------------------------------------------------


def test_status_names_daemons_nodes_and_jobs(cluster: Cluster) -> None:
    job = cluster.submit("true", "--hold", "--job-name=waits")
    status = dev_slurm("status", cluster.folder)
    assert status.returncode == 0, status.stderr
    assert "demos and tests" in status.stdout
    for daemon in ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd-n1", "slurmd-n2"):
        assert f"{daemon} " in status.stdout
    assert "n[1-2]" in status.stdout
    assert "waits" in status.stdout
    cluster.says("scancel", job)


def test_env_prints_lines_for_a_shell_and_nothing_else(cluster: Cluster) -> None:
    env = dev_slurm("env", cluster.folder)
    assert env.stderr == ""
    assert all(line.startswith("export ") for line in env.stdout.splitlines())
    assert cluster.says("sinfo", "--noheader", "--format=%R %D %l").splitlines() == [
        "main 2 3-00:00:00",
        "short 1 1:00:00",
    ]


def test_a_second_up_says_so_at_once(cluster: Cluster) -> None:
    before = time.monotonic()
    again = dev_slurm("up", cluster.folder)
    assert again.returncode == 0
    assert "already" in again.stderr
    assert time.monotonic() - before < 5


def test_another_size_is_refused(cluster: Cluster) -> None:
    other = dev_slurm("up", cluster.folder, "--gpus", "3")
    assert other.returncode == 2
    assert "--gpus 3" in other.stderr
    another = "26.05" if cluster.says("sbatch", "--version").startswith("slurm-wlm 24.11.") else "24.11"
    other = dev_slurm("up", cluster.folder, "--release", another)
    assert other.returncode == 2
    assert f"You asked for --release {another}, but" in other.stderr
    assert dev_slurm("status", cluster.folder).returncode == 0


def test_jobs_see_the_gpus_they_asked_for(cluster: Cluster) -> None:
    assert cluster.says("srun", "--gres=gpu:2", "printenv", "CUDA_VISIBLE_DEVICES") == "0,1"
    nodes = cluster.says("srun", "--nodes=2", "--gpus-per-node=1", "printenv", "SLURMD_NODENAME")
    assert sorted(nodes.split()) == ["n1", "n2"]
    assert cluster.run("srun", "--gres=gpu:3", "--nodes=1", "true").returncode != 0


def test_accounts_and_qos(cluster: Cluster) -> None:
    qos = cluster.says("sacctmgr", "-nP", "show", "qos", "format=name,priority,preempt").splitlines()
    assert sorted(qos) == ["interactive|100|scavenger", "production|50|scavenger", "scavenger|0|"]
    user = cluster.says("id", "-un")
    mine = cluster.says("sacctmgr", "-nP", "show", "assoc", f"user={user}", "format=account,qos,defaultqos")
    assert {line.split("|", 1)[0] for line in mine.splitlines()} >= {"team-a", "team-b"}
    assert {line.split("|", 1)[1] for line in mine.splitlines()} == {"interactive,production,scavenger|production"}
    tree = cluster.says("sacctmgr", "-nP", "show", "assoc", "account=team-a", "format=account,user,parentname")
    assert "team-a||research" in tree.splitlines()


def test_limits_are_enforced(cluster: Cluster) -> None:
    assert cluster.run("sbatch", "--account=nobodys", "--wrap=true").returncode != 0
    # As on most sites, a job beyond a QOS's limit is taken all the same, and waits for ever.
    job = cluster.submit("true", "--qos=interactive", "--time=5:00:00")
    until(lambda: cluster.says("squeue", "-h", "-o%r", f"-j{job}") == "QOSMaxWallDurationPerJobLimit")
    cluster.says("scancel", job)


def test_an_array_runs_and_is_accounted(cluster: Cluster) -> None:
    job = cluster.submit("echo $SLURM_ARRAY_TASK_ID", "--array=0-7%4", "--gres=gpu:1", "--qos=production")
    until(lambda: set(cluster.state(job).split()) == {"COMPLETED"})
    assert [(cluster.work / f"{job}_{task}").read_text() for task in range(8)] == [f"{task}\n" for task in range(8)]

    def recorded() -> list[str]:
        lines = cluster.says("sacct", "-nPX", f"--jobs={job}", "--format=state,account,qos,alloctres%99").splitlines()
        return [line for line in lines if line.startswith("COMPLETED|team-a|production|") and "gres/gpu=1" in line]

    until(lambda: len(recorded()) == 8)


@pytest.fixture(scope="module")
def preempted(cluster: Cluster) -> str:
    """A scavenger's job that has had to make room."""
    script = 'echo run ${SLURM_RESTART_COUNT:-0}; [ -n "$SLURM_RESTART_COUNT" ] || exec sleep 300'
    low = cluster.submit(script, "--qos=scavenger", "--nodes=2", "--gres=gpu:2", "--open-mode=append")
    until(lambda: cluster.state(low) == "RUNNING")
    high = cluster.submit("true", "--gres=gpu:2")
    until(lambda: cluster.state(high) == "COMPLETED")
    return low


def test_production_preempts_scavenger(cluster: Cluster, preempted: str) -> None:
    assert cluster.state(preempted) == "PENDING"
    assert " Restarts=1 " in cluster.says("scontrol", "show", "job", preempted)
    attempts = cluster.says("sacct", "-nPXD", f"--jobs={preempted}", "--format=state").split()
    assert attempts[0] == "PREEMPTED"


# --- a cluster's life -------------------------------------------------------------------------------------------


@pytest.fixture
def second(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A folder for another cluster, while the first one is up."""
    yield tmp_path / ODD[:40] / ODD[40:]
    assert dev_slurm("down", tmp_path / ODD[:40] / ODD[40:]).returncode == 0


def ends_with_nothing_left(folder: Path) -> None:
    down = dev_slurm("down", folder)
    assert down.returncode == 0, down.stderr
    assert processes(folder) == {}
    assert not folder.exists()
    assert [
        link for link in Path("/tmp").glob("passingloop-dev-slurm-*") if link.is_symlink() and not link.exists()
    ] == []


@pytest.mark.slow
def test_from_a_killed_up_to_nothing_left(cluster: Cluster, second: Path) -> None:
    killed = subprocess.Popen(command("up", second, "--nodes", "1"), env=own_environment(), stderr=subprocess.DEVNULL)
    time.sleep(random.uniform(0.2, 4))
    killed.kill()
    killed.wait()

    up = dev_slurm("up", second, "--nodes", "1", "--gpus", "1")
    assert up.returncode == 0, up.stderr
    beside = Cluster.in_folder(second, cluster.work)
    assert beside.says("sinfo", "--noheader", "--format=%D", "--partition=main") == "1"
    assert cluster.says("sinfo", "--noheader", "--format=%D", "--partition=main") == "2"

    # A daemon that dies is started again, with the queue as it was.
    job = beside.submit("sleep 300", "--gres=gpu:1")
    until(lambda: beside.state(job) == "RUNNING")
    [controller] = [
        int(line.split()[-1])
        for line in dev_slurm("status", second).stdout.splitlines()
        if line.startswith("slurmctld ")
    ]
    os.kill(controller, signal.SIGTERM)  # killed, it would lose the jobs of the last five seconds
    until(lambda: controller not in processes(second))
    assert dev_slurm("status", second).returncode == 1
    assert dev_slurm("up", second).returncode == 0
    assert beside.state(job) == "RUNNING"

    # And down ends all of it, jobs too, and nothing of the other cluster.
    assert processes(second)
    ends_with_nothing_left(second)
    assert dev_slurm("status", cluster.folder).returncode == 0


def test_an_interrupted_up_leaves_nothing(second: Path) -> None:
    up = subprocess.Popen(command("up", second), env=own_environment(), stderr=subprocess.DEVNULL)
    until(lambda: bool(processes(second)))
    up.terminate()
    assert up.wait() == 130
    assert processes(second) == {}
    assert not second.exists()


def test_down_leaves_what_others_put_there(second: Path) -> None:
    up = subprocess.Popen(command("up", second, "--nodes", "1"), env=own_environment(), stderr=subprocess.DEVNULL)
    until(lambda: bool(processes(second)))
    (second / "notes").write_text("mine")
    up.kill()
    up.wait()
    down = dev_slurm("down", second)
    assert down.returncode == 0
    assert "stays" in down.stderr
    assert [path.name for path in second.iterdir()] == ["notes"]


def test_what_was_preempted_runs_again(cluster: Cluster, preempted: str) -> None:
    """As late in this file as can be: a requeued job waits until what the nodes know of its first run has expired."""
    until(lambda: cluster.state(preempted) == "COMPLETED")
    lines = (cluster.work / preempted).read_text().splitlines()
    assert [line for line in lines if line.startswith("run")] == ["run 0", "run 1"]


# --- without a cluster ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["env", "status"])
def test_without_a_cluster_it_says_what_to_do(tmp_path: Path, verb: str) -> None:
    done = dev_slurm(verb, tmp_path / "none")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "scripts/dev-slurm up" in done.stderr
    assert not (tmp_path / "none").exists()


def test_down_without_a_cluster_is_no_error(tmp_path: Path) -> None:
    assert dev_slurm("down", tmp_path / "none").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_refused(packages: None, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert dev_slurm("up", tmp_path).returncode == 2
    assert dev_slurm("down", tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_no_system_package_is_installed_where_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for a program that no machine has, as those that have to be there may be."""
    monkeypatch.syspath_prepend(LIBRARY)
    from dev_slurm import packages, words

    monkeypatch.setitem(packages.PROGRAMS, "no-such-program", "no-such-package")
    monkeypatch.setenv("PASSINGLOOP_NO_SYSTEM", "1")
    with pytest.raises(words.Stop, match=r"no-such-package are missing\. Do: apt-get install") as stop:
        packages.install_missing()
    assert stop.value.code == 3
