"""Every way in which a submitted run is cut off, on a real cluster: it goes on, and ends with the weights of one that
never was; and its ledger tells the cause and what was decided."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from passingloop.rundir import ledger
from passingloop.rundir.directory import RunDir
from passingloop.rundir.events import Decision, End, Start
from tests.cluster.cluster import Cluster, dev_slurm, until
from tests.cluster.login import Login, events, wait_for, wait_for_step
from tests.narrow import narrow  # noqa: F401  # a fixture
from tests.runs.small import lines

LONG = ("trainer.steps=500", "trainer.deterministic=true", "trainer.log_every=1", "checkpoint.every_steps=50")
"""Five to ten seconds of training: long enough to interrupt. The data are those of every test here, so the weights of
an uninterrupted run are the same under any name."""

Exact = Callable[[RunDir], None]


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """What an uninterrupted run's weights are, once one has been trained."""
    return {}


@pytest.fixture
def exact(login: Login, known: dict[str, str]) -> Exact:
    """Waits for the end of a run, and compares its weights with those of an uninterrupted one."""

    def compare(run: RunDir) -> None:
        until(lambda: [end["cause"] for end in events(run, "end")][-1:] == ["completed"])  # said after the result
        if not known:
            done = login.train("name=uninterrupted", *LONG, "resources.cpus=1")
            assert done.returncode == 0, done.stderr
            known["weights"] = str((RunDir(Path(done.stdout.strip())).read_result() or {})["weights_sha256"])
        assert (run.read_result() or {})["weights_sha256"] == known["weights"]

    return compare


def submit(login: Login, name: str, *words: str) -> RunDir:
    """A run that lasts, on one processor, on node n1 unless it says otherwise."""
    [run] = login.submit(f"name={name}", *LONG, "resources.cpus=1", *words)
    return run


def job(run: RunDir) -> str:
    return str(events(run, "queued")[-1]["job_id"])


def told(run: RunDir) -> list[tuple[str, list[str]]]:
    """The cause of each end, and what was decided after it."""
    decisions = events(run, "decision")
    return [
        (end["cause"], [line["action"] for line in decisions if line["attempt"] == end["attempt"]])
        for end in events(run, "end")
    ]


def trainers(run: RunDir) -> list[int]:
    """The processes that train."""
    found = subprocess.run(["pgrep", "-f", f"passingloop.job {run.path}"], capture_output=True, text=True, check=False)
    pids = map(int, found.stdout.split())
    return [pid for pid in pids if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"python")]


@contextmanager
def qos(cluster: Cluster, **settings: str) -> Iterator[None]:
    """With other settings of the QOS that is preempted, for a while."""
    before = {"gracetime": "10", "preemptmode": "requeue"}
    change = ("sacctmgr", "--immediate", "modify", "qos", "scavenger", "set")
    cluster.says(*change, *(f"{name}={value}" for name, value in settings.items()))
    time.sleep(0.5)  # slurmdbd tells slurmctld
    try:
        yield
    finally:
        cluster.says(*change, *(f"{name}={before[name]}" for name in settings))


@contextmanager
def user_signal(cluster: Cluster) -> Iterator[None]:
    """With SIGUSR2, or whatever a job has asked for, in place of SIGTERM at a preemption."""
    settings = Path(cluster.env["SLURM_CONF"])
    before = settings.read_text()
    settings.write_text(f"{before}\nSlurmctldParameters=preempt_send_user_signal\n")
    cluster.says("scontrol", "reconfigure")
    try:
        yield
    finally:
        settings.write_text(before)
        cluster.says("scontrol", "reconfigure")


def preempt(login: Login, run: RunDir) -> None:
    """Somebody with a higher QOS wants the node."""
    [node] = events(run, "start")[-1]["nodes"]
    login.cluster.submit("sleep 1", "--qos=production", f"--nodelist={node}", "--gpus-per-node=2", "--time=1")


@pytest.mark.slow
@pytest.mark.parametrize(("grace", "mode"), [("10", "requeue"), ("0", "requeue"), ("0", "cancel")])
def test_preempted(login: Login, exact: Exact, grace: str, mode: str) -> None:
    """Slurm 22.05 puts back a job that asks for it while it is being cancelled, too."""
    with qos(login.cluster, gracetime=grace, preemptmode=mode):
        run = submit(login, f"{mode}-{grace}", "cluster.qos=scavenger")
        wait_for_step(run, 60)
        [pid] = trainers(run)
        told_grace = {"10": b"10", "0": b"5"}[grace]  # without a grace time there is KillWait
        assert b"PASSINGLOOP_GRACE_SECONDS=" + told_grace in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        preempt(login, run)
        end = wait_for(run)
        until(lambda: len(events(run, "start")) == 2)
    assert end["cause"] == "preempted"
    exact(run)
    assert told(run) == [("preempted", ["requeue"]), ("completed", [])]
    assert events(run, "start")[1]["start_step"] == end["end_step"]
    assert len({start["job_id"] for start in events(run, "start")}) == 1


@pytest.mark.slow
def test_preempted_with_the_users_signal(login: Login, exact: Exact) -> None:
    with user_signal(login.cluster):
        run = submit(login, "user-signal", "cluster.qos=scavenger")
        wait_for_step(run, 60)
        preempt(login, run)
        assert wait_for(run)["cause"] == "preempted"
    exact(run)
    assert told(run) == [("preempted", ["requeue"]), ("completed", [])]


@pytest.mark.slow
def test_preempted_where_jobs_are_not_put_back(login: Login, exact: Exact) -> None:
    with qos(login.cluster, preemptmode="cancel"):
        run = submit(login, "not-put-back", "cluster.qos=scavenger")
        wait_for_step(run, 60)
        login.cluster.says("scontrol", "update", f"JobId={job(run)}", "Requeue=0")
        preempt(login, run)
        assert wait_for(run)["cause"] == "preempted"
        exact(run)
    assert told(run) == [("preempted", ["requeue", "resubmit"]), ("completed", [])]
    first, second = events(run, "queued")
    assert (first["after"], second["after"]) == (None, 1)
    assert [start["job_id"] for start in events(run, "start")] == [first["job_id"], second["job_id"]]
    assert not list((login.home / "open").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_time_limit(login: Login) -> None:
    """Of a minute, which Slurm warns of after 24 to 54 s; then it gets more."""
    words = ("trainer.steps=4000", "trainer.deterministic=true", "resources.cpus=1")
    [whole] = login.submit("name=unlimited", *words)
    [run] = login.submit("name=limited", "resources.time=1", *words)
    first = wait_for(run)
    assert (first["cause"], first["end_step"]) == ("timeout", run.saved_step)
    until(lambda: login.cluster.state(job(run)) == "PENDING")
    login.cluster.says("scontrol", "update", f"JobId={job(run)}", "TimeLimit=30")
    until(lambda: len(events(run, "start")) == 2)
    for one in (whole, run):
        wait_for_step(one, 3000, attempt=len(events(one, "start")))
        until(one.result.exists)
    assert (run.read_result() or {})["weights_sha256"] == (whole.read_result() or {})["weights_sha256"]
    assert told(run) == [("timeout", ["requeue"]), ("completed", [])]
    assert events(run, "start")[1]["start_step"] == first["end_step"]


@pytest.mark.slow
def test_requeued_by_hand(login: Login, exact: Exact) -> None:
    run = submit(login, "by-hand")
    wait_for_step(run, 60)
    login.cluster.says("scontrol", "requeue", job(run))
    exact(run)
    assert told(run) == [("requeued", ["requeue"]), ("completed", [])]


def test_cancelled_by_hand_it_is_left_alone(login: Login) -> None:
    run = submit(login, "cancelled")
    wait_for_step(run, 5)
    login.cluster.says("scancel", job(run))
    assert wait_for(run)["cause"] == "cancelled"
    until(lambda: login.cluster.state(job(run)) == "CANCELLED")
    assert events(run, "decision") == []


@contextmanager
def node_gone(login: Login, node: str, run: RunDir, spared: int | None = None) -> Iterator[None]:
    """Its slurmd is killed with what it runs, which is `run`, and Slurm told; afterwards it is there again.

    Args:
        spared: a process that goes on.
    """
    said = dev_slurm("status", login.cluster.folder).stdout
    [pid] = re.findall(rf"slurmd-{node} +running, process (\d+)", said)
    os.kill(int(pid), signal.SIGKILL)
    kill_job(login, run, spared)
    login.cluster.says("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    try:
        yield
    finally:
        dev_slurm("up", login.cluster.folder)
        login.cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")


def kill_job(login: Login, run: RunDir, spared: int | None = None) -> None:
    """What a node that loses power takes with it: first who would report the end, then supervisor, srun and trainer."""
    [submission] = {line["submission"] for line in events(run, "queued")}
    login.cluster.says("pkill", "-KILL", "--full", rf"^slurmstepd: \[{job(run)}\.")
    found = login.cluster.says("pgrep", "--full", f"{submission}|{run.path}").split()
    for pid in {int(word) for word in found} - {spared}:
        with suppress(ProcessLookupError):  # pgrep itself
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_its_node_fails(login: Login, exact: Exact) -> None:
    run = submit(login, "node-fails")
    wait_for_step(run, 60)
    [node] = events(run, "start")[0]["nodes"]
    with node_gone(login, node, run):
        exact(run)
    assert told(run) == [("node_fail", ["again"]), ("completed", [])]
    [decision] = events(run, "decision")
    assert decision["exclude"] == [node]
    [other] = events(run, "start")[1]["nodes"]
    assert other != node
    assert events(run, "end")[0]["end_step"] >= 50


@pytest.mark.slow
def test_a_node_that_is_cut_off_stops_training_when_the_run_starts_elsewhere(login: Login) -> None:
    """Its training process outlives slurmd, slurmstepd and the batch script, and nobody tells it of the new attempt."""
    run = submit(login, "cut-off", "trainer.steps=100000")
    wait_for_step(run, 60)
    [node] = events(run, "start")[0]["nodes"]
    [trainer] = trainers(run)
    with node_gone(login, node, run, spared=trainer):
        until(lambda: trainer not in trainers(run))
        assert [start["attempt"] for start in events(run, "start")] == [1, 2]
        assert "so attempt 1 stops here and leaves the run to it" in run.log(1, 0).read_text()
        until(lambda: len(lines(run.metrics, attempt=2)) > 0)
        login.cluster.says("scancel", job(run))
        until(lambda: [cause for cause, _ in told(run)] == ["node_fail", "cancelled"])
    attempts = [row["attempt"] for row in lines(run.metrics)]
    assert attempts == sorted(attempts), "nothing late was written"


@pytest.mark.slow
def test_slurm_chooses_a_node_that_has_failed_before(login: Login) -> None:
    """Its ledger is that of a run under which every node that Slurm would choose has failed."""
    [run] = login.submit("name=chosen-again", "+cluster.extra.hold=true", "resources.cpus=1")
    lines: list[Start | End | Decision] = [
        Start(
            attempt=1,
            launcher="slurm",
            job_id=job(run),
            nodes=["n1"],
            processes=1,
            start_step=0,
            code={},
            submission=events(run, "queued")[0]["submission"],
        ),
        End(attempt=1, end_step=0, cause="node_fail"),
        Decision(attempt=1, action="requeue", reason="Node n1 failed.", exclude=["n1"]),
    ]
    for line in lines:
        ledger.append(run, line)
    login.cluster.says("scontrol", "release", job(run))
    until(run.result.exists)
    assert told(run) == [("node_fail", ["requeue", "resubmit"]), ("completed", [])]
    assert events(run, "start")[1]["nodes"] == ["n2"]
    assert "ExcNodeList=n1" in login.cluster.says("scontrol", "show", "job", job(run))


@pytest.mark.slow
def test_the_nodes_memory_runs_out(login: Login, narrow: Path) -> None:  # noqa: F811
    [run] = login.submit("name=memory", "resources.mem=1000M", "resources.cpus=1")
    until(lambda: bool(trainers(run)))
    narrow.write_text(str(trainers(run)[0]))  # the kernel kills it while it imports torch
    until(run.result.exists)
    assert told(run) == [("oom", ["resubmit"]), ("completed", [])]
    assert events(run, "end")[0]["memory"] == "host"
    assert events(run, "decision")[0]["mem"] == "2000M"
    assert "MinMemoryNode=2000M" in login.cluster.says("scontrol", "show", "job", job(run))


def test_killed(login: Login, exact: Exact) -> None:
    run = submit(login, "sigkill")
    wait_for_step(run, 60)
    os.kill(trainers(run)[0], signal.SIGKILL)
    wait_for_step(run, 120, attempt=2)
    os.kill(trainers(run)[0], signal.SIGSEGV)
    exact(run)
    assert told(run) == [("crash", ["again"]), ("crash", ["again"]), ("completed", [])]
    assert [end["message"] for end in events(run, "end")[:2]] == ["killed by SIGKILL", "killed by SIGSEGV"]
    assert len({start["job_id"] for start in events(run, "start")}) == 1


@pytest.mark.slow
def test_the_same_error_twice_is_enough(login: Login) -> None:
    words = ("optim.lr=1e30", "optim.grad_clip=null", "optim.warmup=0", "resources.cpus=1")
    [run] = login.submit("name=diverges", *words)
    until(lambda: len(events(run, "decision")) == 2)
    assert told(run) == [("crash", ["again"]), ("crash", ["stop"])]
    reason = events(run, "decision")[-1]["reason"]
    assert "The same error came twice at step" in reason
    until(lambda: login.cluster.state(job(run)) == "FAILED")
    [row] = json.loads(login.verb("status", "--json", str(run.path)).stdout)
    assert (row["state"], row["decided"]) == ("failed", reason)
    assert "came twice" in login.verb("status", str(run.path)).stdout


@pytest.mark.slow
def test_slurmctld_starts_again_meanwhile(login: Login, exact: Exact) -> None:
    run = submit(login, "restarted")
    wait_for_step(run, 60)
    said = dev_slurm("status", login.cluster.folder).stdout
    [pid] = re.findall(r"slurmctld +running, process (\d+)", said)
    os.kill(int(pid), signal.SIGKILL)
    os.kill(trainers(run)[0], signal.SIGKILL)
    dev_slurm("up", login.cluster.folder)
    exact(run)
    assert told(run) == [("crash", ["again"]), ("completed", [])]
