"""Small states and policies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from passingloop.policy.entities import Policy, Seat, State
from passingloop.policy.fields import Options
from passingloop.policy.policy_file import read_policy_file

ROOT_QOS = {("QOS", ""): "interactive,production,scavenger", ("DefaultQOS", ""): "production"}


def state(
    qos: Mapping[str, Options] | None = None,
    accounts: Mapping[str, Options] | None = None,
    users: Mapping[str, Options] | None = None,
    seats: Mapping[Seat, Options] | None = None,
) -> State:
    """Three QOS, two teams below research, and ada in both, unless something else is given."""
    parent = ("Parent", "")
    return State(
        cluster="dev",
        qos={
            "scavenger": {},
            "production": {("Preempt", ""): "scavenger"},
            "interactive": {("Preempt", ""): "scavenger"},
        }
        if qos is None
        else qos,
        accounts={
            "root": ROOT_QOS,
            "research": {parent: "root"},
            "team-a": {parent: "research"},
            "team-b": {parent: "research"},
        }
        if accounts is None
        else accounts,
        users={"ada": {("DefaultAccount", ""): "team-a"}} if users is None else users,
        seats={Seat("ada", "team-a"): {}, Seat("ada", "team-b"): {}} if seats is None else seats,
        tres=frozenset(("cpu", "mem", "node", "billing", "gres/gpu")),
    )


def policy(folder: Path, text: str) -> Policy:
    """The policy with this text."""
    file = folder / "policy.yaml"
    file.write_text(text, encoding="utf-8")
    return read_policy_file(file)
