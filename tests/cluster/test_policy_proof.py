"""What the recommended policy (slurm/policy.yaml) does for eight Unix users in three accounts, on a real cluster.

Left out of it are what would make a test wait: the two minutes for which a scavenger's job is not preempted, and the
lines of slurm.conf (as on the real one: scheduling every 30 s, a minute to save).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import pytest

from passingloop.rundir.directory import RunDir
from tests.cluster.cluster import ROOT, Cluster, dev_slurm, until
from tests.cluster.login import Login, events, first_run, wait_for, wait_for_step
from tests.cluster.people import Person, unix_users

MEMBERS = {
    "vision": ("ada", "bob", "cai"),
    "language": ("dan", "eve", "fay"),
    "teaching": ("gus", "hal"),
}
"""Of the accounts. root, who trains, is in vision too."""

BUDGET = "    tres_minutes: {gres/gpu: 1}\n"

CHANGES = {
    "preempt_exempt_time: 0:02:00": "preempt_exempt_time: 0:00:00",
    "preempts: [scavenger]\n    max_time: 3-": "preempts: [scavenger]\n    max_gpus_per_account: 12\n    max_time: 3-",
    "  teaching:\n    shares: 1\n": f"  teaching:\n    shares: 1\n{BUDGET}",
    "  vision:\n    parent: research\n    shares: 1\n": "  vision:\n    parent: research\n    shares: 3\n",
}
"""12 of the 16 GPUs at most for an account's production, as the policy's comment advises; a budget of a GPU-minute;
shares that differ."""

SHARES = {"vision": 2 / 3 * 3 / 4, "language": 2 / 3 * 1 / 4, "teaching": 1 / 3}
"""What the accounts are to get."""

STEPS = ("trainer.steps=200", "checkpoint.every_steps=50", "resources.cpus=1")
"""A few seconds of training."""

WHY = (sys.executable, "-m", "passingloop.cli.main", "why")


@dataclass(frozen=True)
class SharedCluster:
    """A cluster of 16 GPUs that is under the policy, and those who use it."""

    cluster: Cluster
    people: Mapping[str, Person]
    policy: Path

    def tool(self, verb: str, *words: str) -> tuple[int, str]:
        """scripts/slurm-policy: its exit code, and what it says about slurmdbd."""
        done = self.cluster.run(sys.executable, str(ROOT / "scripts/slurm-policy"), verb, str(self.policy), *words)
        return done.returncode, done.stdout.split("Lines for slurm.conf")[0] + done.stderr

    def configure(self, **values: str) -> None:
        """Set values of slurm.conf, as an administrator's editor would, and have them read."""
        conf = Path(self.cluster.env["SLURM_CONF"])
        names = tuple(f"{name}=" for name in values)
        kept = [line for line in conf.read_text().splitlines() if not line.startswith(names)]
        conf.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in values.items()), ""]))
        self.cluster.says("scontrol", "reconfigure")

    def restart_controller(self) -> None:
        """So that it counts use at once: it waits for as long as PriorityCalcPeriod was before, whatever it reads."""
        self.cluster.says("scontrol", "shutdown", "slurmctld")
        until(lambda: "slurmctld    NOT RUNNING" in dev_slurm("status", self.cluster.folder).stdout)
        assert dev_slurm("up", self.cluster.folder).returncode == 0

    def states(self, *jobs: str) -> set[str]:
        """Those of all these jobs, with the reasons."""
        words = ("--noheader", "--states=all", "--format=%T %r", f"--jobs={','.join(jobs)}")
        return set(self.cluster.says("squeue", *words).splitlines())

    def until_running(self, *jobs: str) -> None:
        until(lambda: self.states(*jobs) == {"RUNNING None"})

    def busy_gpus(self) -> int:
        """That running jobs hold."""
        lines = self.cluster.says("squeue", "--noheader", "--states=RUNNING", "--Format=tres-alloc:200").splitlines()
        held = (dict(part.split("=") for part in line.strip().split(",")) for line in lines)
        return sum(int(tres["gres/gpu"]) for tres in held)

    def forget_use(self) -> None:
        """What all accounts have used."""
        self.cluster.says("sacctmgr", "--immediate", "modify", "account", "root", "set", "RawUsage=0")

    def clear(self) -> None:
        """End all jobs."""
        self.cluster.says("scancel", "--partition=main")
        until(lambda: self.cluster.says("squeue", "--noheader") == "")


@pytest.fixture(scope="module")
def people(packages: None) -> Iterator[dict[str, str]]:
    """Their names, for the stems in MEMBERS."""
    with unix_users([stem for stems in MEMBERS.values() for stem in stems]) as names:
        yield names


@pytest.fixture(scope="module")
def cluster(people: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """2 nodes with 8 GPUs each; its folder may be read by all users, as their jobs' scripts are in it."""
    folder = Path(tempfile.mkdtemp(prefix="passingloop-"))
    folder.chmod(0o755)
    done = dev_slurm("up", folder / "slurm", "--nodes", "2", "--gpus", "8", "--cpus", "16")
    assert done.returncode == 0, done.stderr
    yield Cluster.in_folder(folder / "slurm", tmp_path_factory.mktemp("jobs"))
    down = dev_slurm("down", folder / "slurm")
    shutil.rmtree(folder)
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="module")
def settled(cluster: Cluster, people: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> SharedCluster:
    """With the policy applied."""
    text = (ROOT / "slurm/policy.yaml").read_text()
    for before, after in CHANGES.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    lines = [f"  {people[stem]}: {{accounts: [{account}]}}" for account, stems in MEMBERS.items() for stem in stems]
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text("\n".join([text, "users:", "  root: {accounts: [vision], admin_level: administrator}", *lines, ""]))
    shared = SharedCluster(cluster, {stem: Person(name, cluster) for stem, name in people.items()}, file)
    shared.configure(PriorityUsageResetPeriod="MONTHLY", PriorityCalcPeriod="1")
    code, said = shared.tool("apply", "--delete-history")
    assert code == 0, said
    return shared


@pytest.fixture
def shared(settled: SharedCluster) -> Iterator[SharedCluster]:
    """Without a job."""
    yield settled
    settled.clear()


@pytest.fixture
def unbudgeted(shared: SharedCluster) -> Iterator[SharedCluster]:
    """With the policy but for the budget, and nothing used so far."""
    file = shared.policy.with_name("unbudgeted.yaml")
    file.write_text(shared.policy.read_text().replace(BUDGET, ""))
    other = replace(shared, policy=file)
    code, said = other.tool("apply")
    assert code == 0, said
    shared.forget_use()
    yield other
    shared.clear()  # a budget that waiting jobs are over is refused
    code, said = shared.tool("apply")
    assert code == 0, said


def test_all_of_the_policy_is_in_force(shared: SharedCluster) -> None:
    assert shared.tool("plan")[1] == "slurmdbd is as the file says.\n"
    associations = shared.cluster.says("sacctmgr", "-nP", "show", "assoc", "format=user,account").splitlines()
    wanted = {f"{shared.people[stem].name}|{account}" for account, stems in MEMBERS.items() for stem in stems}
    assert wanted <= set(associations)


@pytest.fixture
def others(shared: SharedCluster) -> list[str]:
    """Running jobs on 15 of the 16 GPUs: ada, bob and cai hold what their account may, and more of ada's waits; eve
    has 3 GPUs as a scavenger."""
    work = [shared.people[stem].submit("sleep 600", "--gres=gpu:4") for stem in MEMBERS["vision"]]
    shared.until_running(*work)
    more = shared.people["ada"].submit("sleep 600", "--gres=gpu:4")
    idle = shared.people["eve"].submit("sleep 600", "--gres=gpu:3", "--qos=scavenger")
    shared.until_running(idle)
    assert shared.states(more) == {"PENDING MaxGRESPerAccount"}
    return [*work, idle]


def start_interactive(shared: SharedCluster, others: list[str]) -> str:
    """The cluster is full, dan wants a GPU, and the youngest scavenger makes room: nobody's time is over. dan's job."""
    assert shared.busy_gpus() == 16
    trial = shared.people["dan"].submit("sleep 600", "--gres=gpu:1", "--qos=interactive")
    shared.until_running(trial)
    assert shared.states(*others) == {"RUNNING None"}
    return trial


def test_an_interactive_job_starts_on_a_full_cluster(shared: SharedCluster, others: list[str]) -> None:
    leaves = "srun sleep 600 || scontrol requeue $SLURM_JOB_ID"  # steps are told at once, the script is not
    idle = shared.people["fay"].submit(leaves, "--gres=gpu:1", "--qos=scavenger")
    shared.until_running(idle)
    start_interactive(shared, others)
    until(lambda: shared.states(idle) == {"PENDING BeginTime"})


@pytest.mark.slow
def test_a_run_that_makes_room_goes_on_exactly(shared: SharedCluster, others: list[str], login: Login) -> None:
    [run] = login.submit("name=fills", *STEPS, "resources=gpu1", "cluster.qos=scavenger")
    wait_for_step(run, 20)
    twin = login.begin("name=whole", *STEPS)
    trial = start_interactive(shared, others)
    assert wait_for(run)["cause"] == "preempted"
    login.cluster.says("scancel", trial)
    assert wait_for(run, 2)["cause"] == "completed"
    starts, ends = events(run, "start"), events(run, "end")
    assert starts[1]["start_step"] == ends[0]["end_step"] >= 20  # no step is lost
    assert twin.wait() == 0
    assert weights(run) == weights(first_run(login, "whole"))


def weights(run: RunDir) -> str:
    """The hash of what was learned."""
    return str((run.read_result() or {})["weights_sha256"])


def test_a_user_over_a_cap_is_told_which(shared: SharedCluster) -> None:
    ada, bob, dan = (shared.people[stem] for stem in ("ada", "bob", "dan"))
    dans = [dan.submit("sleep 600", "--gres=gpu:1", "--qos=interactive") for _ in range(2)]
    adas = [ada.submit("sleep 600", "--gres=gpu:6") for _ in range(2)]
    shared.until_running(dans[0], *adas)
    bobs = bob.submit("sleep 600", "--gres=gpu:1")
    until(lambda: shared.states(dans[1], bobs) == {"PENDING QOSMaxJobsPerUserLimit", "PENDING MaxGRESPerAccount"})
    told = dan.says(*WHY, dans[1])
    assert "You have 1 of the 1 running job that QOS interactive gives a user" in told
    assert f"Job {dans[0]} ({dan.name}) ends at" in told
    told = bob.says(*WHY, bobs)
    assert "Account vision has 12 of the 12 GPUs that QOS production gives an account" in told
    assert f"{ada.name}: 12 GPUs in jobs {adas[0]}, {adas[1]}" in told
    refused = dan.run("sbatch", "--qos=interactive", "--wrap=true")
    assert "QOSMaxSubmitJobPerUserLimit" in refused.stderr


def over_budget(shared: SharedCluster) -> tuple[Person, str]:
    """Somebody whose account has used up its budget, and the job that waits for that."""
    gus, hal = shared.people["gus"], shared.people["hal"]
    shared.forget_use()
    spent = gus.submit("sleep 6", "--nodes=2", "--gpus-per-node=6")
    until(lambda: shared.states(spent) == {"COMPLETED None"})
    job = hal.submit("sleep 600", "--gres=gpu:1")
    until(lambda: shared.states(job) == {"PENDING AssocGrpGRESMinutes"})
    return hal, job


def test_an_account_over_its_budget_is_told_when_it_renews(shared: SharedCluster) -> None:
    hal, job = over_budget(shared)
    before = first_of_next_month()
    told = hal.says(*WHY, job)
    assert "All jobs of account teaching together have used" in told
    assert any(f"The budget is given anew monthly, next on {day}." in told for day in (before, first_of_next_month()))


def first_of_next_month() -> date:
    today = date.today()
    return date(today.year + today.month // 12, today.month % 12 + 1, 1)


@pytest.mark.slow
def test_a_budget_that_is_renewed_lets_jobs_start(shared: SharedCluster) -> None:
    """At once here, as nobody can wait for a month."""
    _, job = over_budget(shared)
    shared.configure(PriorityUsageResetPeriod="NOW")
    shared.restart_controller()
    shared.until_running(job)
    shared.configure(PriorityUsageResetPeriod="MONTHLY")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_accounts_get_their_shares(unbudgeted: SharedCluster) -> None:
    """All ask for more than there is; those with the smallest share ask first, and with most CPUs, which do not count.
    Slurm counts use anew each minute here. Until then it starts the jobs of those who are behind, so it takes some
    minutes until the account that was first is level with the others."""
    shared = unbudgeted
    shared.restart_controller()
    shared.cluster.says("scontrol", "update", "PartitionName=main", "TRESBillingWeights=GRES/gpu=1")
    began = datetime.now()
    for account, cpus in (("language", 3), ("teaching", 2), ("vision", 1)):
        for stem in MEMBERS[account]:
            shared.people[stem].submit("sleep 10", "--gres=gpu:2", f"--cpus-per-task={cpus}", "--array=1-250")
    time.sleep(600)
    used = use_of_gpus(shared, began)
    total = sum(used.values())
    assert {account: used[account] / total for account in SHARES} == pytest.approx(SHARES, abs=0.08)


def use_of_gpus(shared: SharedCluster, since: datetime) -> dict[str, float]:
    """Per account, in GPU-seconds, as slurmdbd has it."""
    words = ("--allusers", "--allocations", "--noheader", "--parsable2", f"--starttime={since:%Y-%m-%dT%H:%M:%S}")
    lines = shared.cluster.says("sacct", *words, "--format=Account,ElapsedRaw,AllocTRES").splitlines()
    used = dict.fromkeys(SHARES, 0.0)
    for account, elapsed, tres in (line.split("|") for line in lines):
        if tres:
            used[account] += float(elapsed) * int(dict(part.split("=") for part in tres.split(","))["gres/gpu"])
    return used
