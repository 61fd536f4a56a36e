"""Each of Slurm's states means one thing, and each way to end has a cause."""

from __future__ import annotations

from typing import get_args

import pytest

from passingloop.preempt.cause import CAUSE_OF_END
from passingloop.slurm.states import End, job_end, job_phase


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("PENDING", ("waiting", None)),
        ("REQUEUED", ("waiting", "requeued")),
        ("COMPLETING", ("running", None)),
        ("COMPLETED", ("ended", None)),
        ("DEADLINE", ("ended", "time limit")),
        ("LAUNCH_FAILED", ("waiting", None)),
        ("POWER_UP_NODE", ("running", None)),
        ("UPDATE_DB", ("running", None)),
        ("SOMETHING_NEW", ("running", None)),
    ],
)
def test_a_state_has_a_phase_and_an_end(state: str, expected: tuple[str, str | None]) -> None:
    assert (job_phase(state), job_end(state)) == expected


def test_each_end_has_a_cause() -> None:
    assert CAUSE_OF_END.keys() == set(get_args(End))
