"""Amounts, owners of limits and times, in words."""

from __future__ import annotations

from datetime import datetime

from passingloop.slurm.notation import duration_text
from passingloop.slurm.waiting.ceilings import QUEUED, RUNNING, WALL, Ceiling

NAMES = {
    "gres/gpu": ("GPU", "GPUs"),
    "cpu": ("CPU", "CPUs"),
    "node": ("node", "nodes"),
    RUNNING: ("running job", "running jobs"),
    QUEUED: ("job in the queue", "jobs in the queue"),
    "billing": ("billing unit", "billing units"),
}
HOURS = 60.0
DAY = 86400.0


def amount_text(what: str, amount: float, measure: str = "amount") -> str:
    """``4 GPUs``, ``16 GB of memory``, ``12.5 GPU-hours``, ``4:00:00``."""
    if what == WALL:
        return duration_text(amount * 60)
    if measure != "amount":
        unit = "GB" if what == "mem" else _name(what, 1)
        return f"{_number((amount / 1024 if what == 'mem' else amount) / HOURS)} {unit}-hours"
    if what == "mem":
        return f"{_number(amount / 1024)} GB of memory"
    return f"{_number(amount)} {_name(what, amount)}"


def owner_text(ceiling: Ceiling) -> str:
    """``QOS interactive``, ``account team-a``, ``account team-a (user alice)``."""
    if ceiling.owner == "association":
        user, _, account = ceiling.name.partition(" in ")
        return f"account {account} (user {user})"
    return f"{'QOS' if ceiling.owner == 'qos' else 'account'} {ceiling.name.partition('/')[0]}"


def time_text(time: float, now: float) -> str:
    """Local time: ``14:05`` of today, ``Fri 14:05`` within six days, else the date."""
    moment, today = datetime.fromtimestamp(time).astimezone(), datetime.fromtimestamp(now).astimezone()
    if moment.date() == today.date():
        return f"{moment:%H:%M}"
    return f"{moment:%a %H:%M}" if 0 < time - now < 6 * DAY else f"{moment:%Y-%m-%d %H:%M}"


def count_text(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _name(what: str, amount: float) -> str:
    if what in NAMES:
        return NAMES[what][0 if amount == 1 else 1]
    kind, _, name = what.partition("/")
    licence = f"{name} licence" if amount == 1 else f"{name} licences"
    return {"license": licence, "gres": name, "bb": f"burst buffer {name}"}.get(kind, what)


def _number(amount: float) -> str:
    """With one decimal where it is not whole, and two significant digits where it is small."""
    if amount >= 100 or amount == round(amount):
        return f"{amount:,.0f}"
    return f"{amount:.1f}" if amount >= 1 else f"{amount:.2g}"
