"""What jobs and history would lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from passingloop.policy.entities import Seat, State
from passingloop.policy.fields import Option, Options
from passingloop.policy.guards import History, history_losses, stranded_jobs
from passingloop.policy.reports import QueuedJob
from tests.policy.made import ROOT_QOS, state

PARENT = ("Parent", "")
RUNS = QueuedJob(
    job_id="7",
    user="ada",
    account="team-a",
    partition="main",
    qos="production",
    waits=False,
    tres={"cpu": 8, "mem": 16000, "node": 2, "gres/gpu": 4},
    nodes=2,
    limit=600.0,
    left=60.0,
)
WAITS = replace(RUNS, job_id="8_[1]", waits=True, left=600.0)
OTHER = replace(RUNS, job_id="9", user="bob", account="team-b", qos="scavenger")


def sentences(before: State, after: State, *jobs: QueuedJob, used: float = 0.0) -> list[str]:
    """What is said of jobs; `used` are minutes of GPUs in the account team-a."""
    usage = {"account team-a": {"gres/gpu": used}}
    return [refusal.sentence for refusal in stranded_jobs(before, after, jobs, usage)]


def with_qos(name: str, options: Options) -> State:
    return state(qos={**state().qos, name: {**state().qos[name], **options}})


def with_account(name: str, options: Options) -> State:
    return state(accounts={**state().accounts, name: {**state().accounts[name], **options}})


def with_seat(options: Options) -> State:
    return state(seats={**state().seats, Seat("ada", "team-a"): options})


def test_nothing_is_lost_by_nothing() -> None:
    assert sentences(state(), state(), RUNS, WAITS, OTHER) == []


LOSSES: dict[str, tuple[State, str]] = {
    "the association": (
        state(seats={Seat("ada", "team-b"): {}}),
        "ada in team-a would be removed, but jobs need that: 7 of ada (runs), 8_[1] of ada (waits).",
    ),
    "the QOS": (
        state(qos={"scavenger": {}, "interactive": {}}),
        "The QOS production would be removed, but jobs need that: 7 of ada (runs), 8_[1] of ada (waits).",
    ),
    "the right to the QOS": (
        with_account("root", ROOT_QOS | {("QOS", ""): "interactive,scavenger"}),
        "ada in team-a would not be allowed the QOS production any more, but jobs need that: 7 of ada (runs), "
        "8_[1] of ada (waits).",
    ),
    "the right to the QOS, in the seat": (
        with_seat({("QOS", ""): "-production"}),
        "ada in team-a would not be allowed the QOS production any more, but jobs need that: 7 of ada (runs), "
        "8_[1] of ada (waits).",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_jobs_that_lose_what_they_need_are_named(name: str) -> None:
    after, sentence = LOSSES[name]
    assert sentences(state(), after, RUNS, WAITS, OTHER) == [sentence]


def test_a_job_in_one_partition_needs_the_seat_for_it() -> None:
    seats: dict[Seat, Options] = {Seat("ada", "team-a", "main"): {}, Seat("ada", "team-a"): {}}
    after = state(seats={Seat("ada", "team-a"): {}})
    assert sentences(state(seats=seats), after, RUNS) == [
        "ada in team-a (partition main) would be removed, but jobs need that: 7 of ada (runs)."
    ]


LIMITS: dict[str, tuple[State, list[QueuedJob], list[str]]] = {
    "GPUs of a user": (
        with_qos("production", {("MaxTRESPU", "gres/gpu"): "2"}),
        [RUNS, WAITS],
        ["qos production: max_gpus_per_user would be 2, which jobs are over: 7 of ada (runs), 8_[1] of ada (waits)."],
    ),
    "GPUs of a user, which is enough for each": (
        with_qos("production", {("MaxTRESPU", "gres/gpu"): "4"}),
        [RUNS, WAITS, replace(WAITS, job_id="10")],
        [],
    ),
    "GPUs of a user, of whose jobs two run": (
        with_qos("production", {("MaxTRESPU", "gres/gpu"): "7"}),
        [RUNS, replace(RUNS, job_id="10"), replace(RUNS, job_id="11", user="bob")],
        ["qos production: max_gpus_per_user would be 7, which jobs are over: 7 of ada (runs), 10 of ada (runs)."],
    ),
    "GPUs of an account": (
        with_qos("production", {("MaxTRESPA", "gres/gpu"): "7"}),
        [RUNS, replace(RUNS, job_id="10", user="bob")],
        ["qos production: max_gpus_per_account would be 7, which jobs are over: 7 of ada (runs), 10 of bob (runs)."],
    ),
    "GPUs of a node": (
        with_qos("production", {("MaxTRESPerNode", "gres/gpu"): "1"}),
        [WAITS],
        ["qos production: max_gpus_per_node would be 1, which jobs are over: 8_[1] of ada (waits)."],
    ),
    "GPUs that a job has to ask for": (
        with_qos("production", {("MinTRES", "gres/gpu"): "8"}),
        [RUNS, WAITS],
        ["qos production: min_gpus_per_job would be 8, which jobs do not ask for: 8_[1] of ada (waits)."],
    ),
    "memory": (
        with_qos("production", {("GrpTRES", "mem"): "8192"}),
        [RUNS],
        ["qos production: max_memory would be 8G, which jobs are over: 7 of ada (runs)."],
    ),
    "time, which what runs keeps": (
        with_qos("production", {("MaxWall", ""): "14400"}),
        [RUNS, WAITS],
        ["qos production: max_time would be 4:00:00, which jobs are over: 8_[1] of ada (waits)."],
    ),
    "jobs at a time": (
        with_qos("production", {("MaxJobsPU", ""): "1"}),
        [RUNS, replace(RUNS, job_id="10"), WAITS],
        ["qos production: max_jobs_per_user would be 1, which jobs are over: 7 of ada (runs), 10 of ada (runs)."],
    ),
    "no jobs at all": (
        with_qos("production", {("GrpJobs", ""): "0"}),
        [WAITS],
        ["qos production: max_jobs would be 0, which jobs are over: 8_[1] of ada (waits)."],
    ),
    "jobs in the queue": (
        with_qos("production", {("MaxSubmitJobsPU", ""): "1"}),
        [RUNS, WAITS],
        [
            "qos production: max_submitted_jobs_per_user would be 1, which jobs are over: 7 of ada (runs), "
            "8_[1] of ada (waits)."
        ],
    ),
    "hours of a job": (
        with_qos("production", {("MaxTRESMins", "gres/gpu"): "1200"}),
        [WAITS],
        ["qos production: max_gpu_hours_per_job would be 20, which jobs are over: 8_[1] of ada (waits)."],
    ),
    "hours that running jobs have left": (
        with_account("research", {("GrpTRESRunMins", "gres/gpu"): "300"}),
        [RUNS, WAITS],
        ["account research: running_gpu_hours would be 5, which jobs are over: 8_[1] of ada (waits)."],
    ),
    "GPUs of an account and all below it": (
        with_account("research", {("GrpTRES", "gres/gpu"): "7"}),
        [RUNS, replace(OTHER, user="ada"), replace(OTHER, user="nobody", account="elsewhere")],
        ["account research: max_gpus would be 7, which jobs are over: 7 of ada (runs), 9 of ada (runs)."],
    ),
    "GPUs of a job, from an account above": (
        with_account("root", {("MaxTRES", "gres/gpu"): "2"}),
        [WAITS],
        ["user ada in team-a: max_gpus_per_job would be 2, which jobs are over: 8_[1] of ada (waits)."],
    ),
    "GPUs of a user in an account": (
        with_seat({("GrpTRES", "gres/gpu"): "2"}),
        [RUNS],
        ["user ada in team-a: max_gpus would be 2, which jobs are over: 7 of ada (runs)."],
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_jobs_over_a_new_limit_are_named(name: str) -> None:
    after, jobs, expected = LIMITS[name]
    assert sentences(state(), after, *jobs) == expected


def test_a_limit_that_is_raised_or_was_there_harms_nobody() -> None:
    low, high = (with_qos("production", {("MaxTRESPU", "gres/gpu"): limit}) for limit in ("1", "2"))
    assert sentences(low, high, RUNS) == []
    assert sentences(low, low, RUNS) == []
    assert sentences(high, low, RUNS) != []
    assert sentences(low, state(), RUNS) == []


BUDGET: Option = ("GrpTRESMins", "gres/gpu")


@pytest.mark.parametrize(("used", "refused"), [(299.0, False), (300.0, True)])
def test_a_budget_that_is_used_up_ends_what_runs(used: float, refused: bool) -> None:
    found = sentences(state(), with_account("team-a", {BUDGET: "300"}), RUNS, used=used)
    assert found == [
        "account team-a: gpu_hours would be 5, but 5.0 hours are used, so Slurm would end what runs and hold what "
        "waits: 7 of ada (runs)."
    ] * int(refused)


def test_many_jobs_are_counted_and_all_are_in_the_list() -> None:
    jobs = [replace(RUNS, job_id=str(number), user=f"u{number % 3}") for number in range(20)]
    seats: dict[Seat, Options] = {Seat(f"u{number}", "team-a"): {} for number in range(3)}
    after = replace(state(seats=seats), qos={"scavenger": {}})
    [refusal] = stranded_jobs(state(seats=seats), after, jobs, {})
    assert refusal.sentence.endswith("4 of u1 (runs) and 15 more.")
    assert (len(refusal.jobs), refusal.users) == (20, ("u0", "u1", "u2"))


def losses(before: State, after: State, history: History) -> Sequence[str]:
    return [refusal.sentence for refusal in history_losses(before, after, history)]


def test_what_was_used_is_not_removed() -> None:
    used = History(
        accounts=frozenset(("team-b",)), seats=frozenset((("ada", "team-b"),)), qos=frozenset(("scavenger",))
    )
    accounts = {name: options for name, options in state().accounts.items() if name != "team-b"}
    qos = {"production": {}}
    after = state(accounts=accounts, seats={Seat("ada", "team-a"): {}}, qos=qos)
    assert losses(state(), after, used) == [
        "The account team-b would be removed with what was used under it.",
        "The user ada would lose the account team-b with what was used there.",
        "The QOS scavenger would be removed, and the jobs that ran in it would have none.",
    ]
    assert losses(state(), after, History()) == []
    assert losses(state(), state(), used) == []


def test_a_user_who_goes() -> None:
    used = History(seats=frozenset((("ada", "team-b"),)))
    after = state(users={}, seats={})
    assert losses(state(), after, used) == [
        "The user ada would lose team-b, the last account, with what was used there."
    ]


def test_a_qos_of_another_cluster_is_not_removed() -> None:
    before = replace(state(), elsewhere=frozenset(("scavenger",)))
    assert losses(before, replace(before, qos={"production": {}}), History()) == [
        "The QOS scavenger would be removed for other clusters as well, which use it."
    ]
