"""What jobs can get: nodes with what is free on them, states of partitions, reservations, licences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.slurm.command import field_value
from passingloop.slurm.notation import node_names, timestamp
from passingloop.slurm.waiting.queue_table import read_tres

OUT_OF_SERVICE = ("DOWN", "DRAIN", "FAIL", "NOT_RESPONDING", "INVAL", "ERROR", "FUTURE", "REBOOT", "UNKNOWN", "*")
"""Found in the state of a node on which nothing is started; the star marks one that does not respond."""

RESERVED = ("RESERVED", "MAINT")


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeState:
    """A node: what it has, and what of it jobs hold. Memory in megabytes."""

    name: str
    state: str
    partitions: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    cpus: float = 0
    mem: float = 0
    gpus: float = 0
    cpus_held: float = 0
    mem_held: float = 0
    gpus_held: float = 0
    reason: str = ""
    """Why an administrator has taken it out of service, with who and when."""

    @property
    def conditions(self) -> str:
        """Its state without what power saving does: a node that is switched off (POWERED_DOWN) is not down."""
        return "+".join(word for word in self.state.split("+") if not word.startswith("POWER"))

    @property
    def in_service(self) -> bool:
        return not any(word in self.conditions for word in OUT_OF_SERVICE)

    @property
    def reserved(self) -> bool:
        return any(word in self.state for word in RESERVED)

    @property
    def free(self) -> dict[str, float]:
        return {
            "cpu": self.cpus - self.cpus_held,
            "mem": self.mem - self.mem_held,
            "gres/gpu": self.gpus - self.gpus_held,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """Nodes or licences that are kept for some users for a time."""

    name: str
    start: float | None
    end: float | None
    nodes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    users: str = ""
    accounts: str = ""
    state: str = ""
    """ACTIVE or INACTIVE."""

    @property
    def keeps_others_out(self) -> bool:
        """Whether jobs that are not in it have to leave its nodes alone while it lasts."""
        return not {"FLEX", "OVERLAP"} & set(self.flags)


@dataclass(frozen=True, kw_only=True, slots=True)
class License:
    name: str
    total: int
    used: int
    reserved: int = 0


def read_node_states(text: str) -> tuple[NodeState, ...]:
    """Parse ``scontrol --all --oneliner show node``."""
    return tuple(_node(line) for line in text.split("\n") if line.startswith("NodeName="))


def read_reservations(text: str) -> tuple[Reservation, ...]:
    """Parse ``scontrol --oneliner show reservation``."""
    return tuple(_reservation(line) for line in text.split("\n") if line.startswith("ReservationName="))


def read_licenses(text: str) -> tuple[License, ...]:
    """Parse ``scontrol --oneliner show license``."""
    return tuple(_licenses(text))


def read_partition_states(text: str) -> dict[str, str]:
    """The state (UP, DOWN, DRAIN, INACTIVE) of each partition in ``scontrol --all --oneliner show partition``."""
    lines = [line for line in text.split("\n") if line.startswith("PartitionName=")]
    return {field_value(line, "PartitionName"): field_value(line, "State") for line in lines}


def _node(line: str) -> NodeState:
    has, held = read_tres(field_value(line, "CfgTRES")), read_tres(field_value(line, "AllocTRES"))
    return NodeState(
        name=field_value(line, "NodeName"),
        state=field_value(line, "State"),
        partitions=_names(field_value(line, "Partitions")),
        features=_names(field_value(line, "ActiveFeatures")),
        cpus=float(field_value(line, "CPUEfctv") or has.get("cpu", 0)),
        mem=has.get("mem", 0.0),
        gpus=has.get("gres/gpu", 0.0),
        cpus_held=held.get("cpu", 0.0),
        mem_held=held.get("mem", 0.0),
        gpus_held=held.get("gres/gpu", 0.0),
        reason=line.partition(" Reason=")[2].partition(" Comment=")[0].strip(),
    )


def _reservation(line: str) -> Reservation:
    return Reservation(
        name=field_value(line, "ReservationName"),
        start=timestamp(field_value(line, "StartTime")),
        end=timestamp(field_value(line, "EndTime")),
        nodes=tuple(node_names(names)) if (names := field_value(line, "Nodes")) not in ("", "(null)") else (),
        flags=_names(field_value(line, "Flags")),
        users=",".join(_names(field_value(line, "Users"))),
        accounts=",".join(_names(field_value(line, "Accounts"))),
        state=field_value(line, "State"),
    )


def _licenses(text: str) -> Iterator[License]:
    for record in re.split(r"(?=LicenseName=)", text):
        line = " ".join(record.split())
        if line.startswith("LicenseName="):
            yield License(
                name=field_value(line, "LicenseName"),
                total=int(field_value(line, "Total") or 0),
                used=int(field_value(line, "Used") or 0),
                reserved=int(field_value(line, "Reserved") or 0),
            )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name not in ("", "(null)"))
