"""A notice: what is told about a run, as fields for programs and as sentences for people. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from passingloop.config.watching import Occasion
from passingloop.rundir.record import current_time

LONGEST = 2000
"""Characters of a sentence at most: the message of an error may be of any length."""

HEADLINES: Mapping[Occasion, str] = {
    "done": "{run} is done",
    "failed": "{run} has failed",
    "preempted": "{run} is preempted often",
    "stuck": "{run} was stuck, and starts again",
    "idle": "{run} leaves its GPUs idle",
}

CONTROL = re.compile(r"[^\S ]|[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
"""What no line of a mail, a variable or a terminal may have in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What is told. All texts are single lines."""

    occasion: Occasion
    name: str
    signature: str
    path: str
    """The run directory."""
    host: str
    user: str
    attempt: int | None = None
    step: int | None = None
    cause: str | None = None
    message: str | None = None
    """How the attempt ended, or what is the matter."""
    action: str | None = None
    """What follows, as in the ledger."""
    reason: str | None = None
    """Why that follows."""
    rank: int | None = None
    job_id: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    time: str = field(default_factory=current_time)

    @property
    def subject(self) -> str:
        """A line for people."""
        return HEADLINES[self.occasion].format(run=f"{one_line(self.name)}/{one_line(self.signature)}")

    @property
    def text(self) -> str:
        """Some lines for people, the subject not among them."""
        where = " ".join(filter(None, [f"job {self.job_id}" if self.job_id else "", f"on {self.host}"]))
        rows = {
            "why": one_line(self.reason or self.message or ""),
            "cause": self.cause if self.occasion != "done" else None,
            "step": self.step,
            "attempt": self.attempt,
            "result": ", ".join(f"{name} {_number(value)}" for name, value in self.metrics.items()),
            "where": one_line(where),
            "run": one_line(self.path),
        }
        return "".join(f"{name}: {value}\n" for name, value in rows.items() if value not in (None, ""))

    def to_fields(self) -> dict[str, Any]:
        """All of it as JSON types, with the subject and the text."""
        texts = {name: one_line(value) if isinstance(value, str) else value for name, value in asdict(self).items()}
        return {**texts, "subject": self.subject, "text": self.text}


def one_line(text: str) -> str:
    """`text` as one line without control characters, and not too long."""
    line = CONTROL.sub(" ", text).strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value))
