"""Each of Slurm's states means one thing, and each way to end has a cause."""

from __future__ import annotations

from typing import get_args

import pytest

from passingloop.preempt.cause import OF_END
from passingloop.slurm.states import End, end_of, phase


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("PENDING", ("waiting", None)),
        ("REQUEUED", ("waiting", "requeued")),
        ("COMPLETING", ("running", None)),
        ("COMPLETED", ("ended", None)),
        ("DEADLINE", ("ended", "time limit")),
        ("SOMETHING_NEW", ("ended", None)),
    ],
)
def test_a_state_has_a_phase_and_an_end(state: str, expected: tuple[str, str | None]) -> None:
    assert (phase(state), end_of(state)) == expected


def test_each_end_has_a_cause() -> None:
    assert OF_END.keys() == set(get_args(End))
