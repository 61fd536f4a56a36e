"""What sacctmgr, squeue and scontrol print about the policy, as plain data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.policy import fields
from passingloop.policy.entities import Seat, State
from passingloop.policy.fields import DEFAULT_ACCOUNT, PARENT, ROOT, Field, Option, Options, Schema
from passingloop.slurm.command import field_value
from passingloop.slurm.notation import megabytes, seconds

SHOW = ("sacctmgr", "--noheader", "--parsable2", "--readonly", "show")

QOS_COMMAND = (*SHOW, "qos", "format=" + ",".join(["Name", *fields.QOS.columns()]))
ACCOUNT_COMMAND = (*SHOW, "account", "format=Account,Description,Organization")
USER_COMMAND = (*SHOW, "user", "format=User,DefaultAccount,AdminLevel")
TRES_COMMAND = (*SHOW, "tres", "format=Type,Name")
SEAT_COMMAND = (
    *SHOW,
    "associations",
    "WOPLimits",
    "WithRawQOSLevel",
    "format=" + ",".join(["Cluster", "Account", "User", "Partition", "ParentName", *fields.SEAT.columns()]),
)
"""Settings where they are made only, not where they are inherited; QOS with their + and -."""

JOB_FIELDS = ("JobArrayID", "UserName", "Account", "Partition", "QOS", "StateCompact", "TimeLimit", "TimeLeft")
JOB_COMMAND = (
    "squeue",
    "--all",
    "--noheader",
    "--array",
    "--states=PENDING,RUNNING,SUSPENDED,CONFIGURING,COMPLETING",
    "--Format=" + ",".join(f"{name}:|" for name in (*JOB_FIELDS, "NumNodes", "tres-alloc")),
)
"""For a job that waits, tres-alloc is what it asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedJob:
    """A job that waits or runs."""

    job_id: str
    user: str
    account: str
    partition: str
    qos: str
    waits: bool
    tres: dict[str, int]
    """What it has or asks for; memory in megabytes."""
    nodes: int = 1
    limit: float | None = None
    """Time limit in minutes."""
    left: float | None = None
    """Minutes until its time limit."""


def _rows(text: str) -> Iterator[list[str]]:
    return (line.split("|") for line in text.splitlines() if "|" in line)


def read_state(cluster: str, qos: str, accounts: str, users: str, seats: str, tres: str) -> State:
    """The state of `cluster`, from the output of the commands above."""
    described = {
        name: _filled(zip((fields.DESCRIPTION, fields.ORGANIZATION), texts, strict=True))
        for name, *texts in _rows(accounts)
    }
    found_accounts: dict[str, Options] = {}
    found_seats: dict[Seat, Options] = {}
    elsewhere: set[str] = set()
    for where, account, user, partition, parent, *columns in _rows(seats):
        options = _options(fields.SEAT, columns)
        if where != cluster:
            elsewhere |= {name.lstrip("+-") for name in options.get(fields.QOS_LIST, "").split(",") if name}
        elif user:
            found_seats[Seat(user, account, partition)] = options
        else:
            above = {} if account == ROOT else {PARENT: parent}
            found_accounts[account] = described.get(account, {}) | above | dict(options)
    here = {seat.user for seat in found_seats}
    return State(
        cluster=cluster,
        qos={name: _options(fields.QOS, columns) for name, *columns in _rows(qos)},
        accounts=found_accounts,
        users={name: _user(default, level) for name, default, level in _rows(users) if name in here},
        seats=found_seats,
        tres=frozenset(f"{kind}/{name}" if name else kind for kind, name in _rows(tres)),
        elsewhere=frozenset(elsewhere),
    )


def _filled(pairs: Iterator[tuple[Option, str]]) -> dict[Option, str]:
    return {key: value.lower() for key, value in pairs if value}


def _user(default: str, level: str) -> Options:
    level = "administrator" if level.lower().startswith("admin") else level.lower()
    found = {DEFAULT_ACCOUNT: default, fields.ADMIN_LEVEL: level}
    return {key: value for key, value in found.items() if value not in ("", "none")}


def _options(schema: Schema, columns: list[str]) -> Options:
    by_name = dict(zip(schema.columns(), columns, strict=True))
    options: dict[Option, str] = {}
    for field in schema.fields:
        value = _reported(field, by_name[field.option])
        if value:
            options[field.option, ""] = value
    for resource in schema.resources:
        amounts = read_tres(by_name[resource.option])
        options |= {(resource.option, tres): str(amount) for tres, amount in amounts.items()}
    return options


def _reported(field: Field, text: str) -> str:
    """Empty for the default."""
    value = field.kind.reported(text) if text else ""
    return "" if value == field.default else value


def read_tres(text: str) -> dict[str, int]:
    """``cpu=8,mem=64G,gres/gpu=2`` as numbers; memory in megabytes."""
    found = re.findall(r"([^=,]+)=(\d+(?:\.\d+)?)([KMGTP]?)", text)
    return {name: int(float(amount) * (megabytes(f"1{unit}") if unit else 1)) for name, amount, unit in found}


def read_jobs(text: str) -> list[QueuedJob]:
    """The output of `JOB_COMMAND`."""
    return [_job(line.split("|")) for line in text.splitlines() if line.count("|") >= len(JOB_FIELDS) + 1]


def _job(columns: list[str]) -> QueuedJob:
    number, user, account, partition, qos, state, limit, left, nodes, tres, *_ = columns
    return QueuedJob(
        job_id=number,
        user=user,
        account=account,
        partition=partition,
        qos=qos,
        waits=state == "PD",
        tres=read_tres(tres),
        nodes=int(nodes) if nodes.isdecimal() else 1,
        limit=_minutes(limit),
        left=_minutes(left),
    )


def _minutes(text: str) -> float | None:
    value = seconds(text)
    return None if value is None else value / 60


def read_usage(text: str) -> dict[str, dict[str, float]]:
    """The minutes that count against budgets, in ``scontrol --oneliner show assoc_mgr flags=assoc,qos``."""
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        if line.startswith("ClusterName="):
            account, user = field_value(line, "Account"), field_value(line, "UserName").partition("(")[0]
            partition = field_value(line, "Partition")
            name = f"user {Seat(user, account, partition)}" if user else f"account {account}"
        elif line.startswith("QOS="):
            name = f"qos {field_value(line, 'QOS').partition('(')[0]}"
        else:
            continue
        minutes = re.findall(r"([^=,]+)=(?:N|\d+)\((\d+)\)", field_value(line, "GrpTRESMins"))
        wall = re.search(r"\(([\d.]+)\)", field_value(line, "GrpWall"))
        found[name] = {tres: float(used) for tres, used in minutes} | {"wall": float(wall[1]) if wall else 0.0}
    return found
