"""What a policy is to reach on a trace: the figures that can be asked for, and how an objective is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from passingloop.figures import Unit
from passingloop.policy import kinds

Scope = Literal["all", "qos", "account"]

OTHER = "against"
"""Stands for the figure of the policy given with ``--against``."""

_SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure that an objective can be about."""

    unit: Unit
    is_most: bool
    """Whether the objective is the most that is allowed, or else the least."""
    scopes: frozenset[Scope]
    meaning: str


_ANY: frozenset[Scope] = frozenset({"all", "qos", "account"})
_ALL: frozenset[Scope] = frozenset({"all"})

MEASURES = {
    "wait_median": Measure("seconds", True, _ANY, "half of the jobs start within this time"),
    "wait_p95": Measure("seconds", True, _ANY, "95 % of the jobs start within this time"),
    "wait_p99": Measure("seconds", True, _ANY, "99 % of the jobs start within this time"),
    "never_started": Measure("count", True, _ANY, "jobs that have not started at the end"),
    "lost_share": Measure("share", True, _ANY, "part of the GPU-hours that is lost to preemption"),
    "utilisation": Measure("share", False, _ALL, "part of the cluster's GPU-hours for which jobs hold GPUs"),
    "jain": Measure("index", False, _ALL, "Jain's index of what accounts get of their shares"),
    "lowest_share": Measure("share", False, _ALL, "what the account gets of its share that gets least"),
    "share": Measure("share", False, frozenset({"account"}), "what the account gets of its share"),
}


@dataclass(frozen=True, slots=True)
class Objective:
    """One line of the section."""

    key: str
    """In the section. It is the figure's name in the results as well."""
    written: str
    """The value as the file has it."""
    measure: Measure
    limit: float
    """In the unit of the figure; seconds for times. What is added to the other policy's figure, if `is_beside`."""
    is_beside: bool
    """Whether it is about the difference to the other policy."""


def read_limit(text: str, unit: Unit) -> tuple[float, bool]:
    """The limit, and whether it is beside the other policy's figure: ``60s``, ``1 %``, ``against - 1 %``.

    Raises:
        ValueError: what is wrong and what to do, to follow the value.
    """
    beside = re.fullmatch(rf"{OTHER}(?:\s*([+-])\s*(.+))?", text)
    if not beside:
        return _amount(text, unit), False
    sign, more = beside.groups()
    return (_amount(more, unit) * (-1 if sign == "-" else 1) if more else 0.0), True


def _amount(text: str, unit: Unit) -> float:
    match unit:
        case "seconds":
            return _seconds(text)
        case "share" | "index":
            return _share(text)
        case "count":
            return float(kinds.count(text))


def _seconds(text: str) -> float:
    if found := re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|sec|min|h|d)", text):
        return float(found[1]) * _SECONDS[found[2]]
    try:
        return float(kinds.time(text))
    except ValueError:
        raise ValueError("is no time. Write a number with s, min, h or d, such as 60s, or H:MM:SS.") from None


def _share(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(%?)", text)
    if not found:
        raise ValueError("is no share. Write a number from 0 to 1, such as 0.95, or 95%.")
    value = float(found[1]) / (100 if found[2] else 1)
    if value > 1 and not found[2]:
        raise ValueError(f"is more than 1. Write {text}% if per cent are meant.")
    return value
