"""How long nothing has gone forward, and who stands behind: tables."""

from __future__ import annotations

import pytest

from passingloop.vitals.beats import Beat
from passingloop.vitals.standstill import Standstill, StillClock


def beat(rank: int, place: int, doing: str = "in the forward pass", step: int = 7) -> Beat:
    return Beat(
        rank=rank, node=f"n{rank}", process=100 + rank, doing=doing, step=step, place=place, signs=place, count=9
    )


def still(
    *beats: Beat, size: int = 3, silent: tuple[int, ...] = (), states: dict[int, str] | None = None
) -> Standstill:
    return Standstill(
        size=size, seconds=1800, beats={each.rank: each for each in beats}, silent=silent, states=states or {}
    )


ALIKE = [beat(0, 5), beat(1, 5), beat(2, 5)]


@pytest.mark.parametrize(
    ("standstill", "rank", "words"),
    [
        (still(beat(0, 5), beat(1, 4), beat(2, 5)), 1, "rank 1 on n1 (process 101) stands at step 7, in the forward"),
        (still(beat(0, 4), beat(1, 4), beat(2, 5)), 0, "ranks 0, 1 on n0"),
        (still(*ALIKE), None, "all 3 processes stand at step 7, in the forward pass, and none behind the others"),
        (still(*ALIKE, silent=(2,)), 2, "rank 2 on n2 (process 102) stands at step 7"),
        (still(*ALIKE, silent=(2,)), 2, "; it runs no Python any more"),
        (still(*ALIKE, silent=(2,), states={2: "T"}), 2, "; it is stopped (SIGSTOP)"),
        (still(*ALIKE, silent=(2,), states={2: "D"}), 2, "; it waits in the kernel"),
        (still(beat(0, 5), beat(1, 4), beat(2, 5), states={1: "S"}), 1, "; the other 2 of 3 stood at step 7"),
        # Silence tells more than how far somebody is: the others may stand anywhere.
        (still(beat(0, 3), beat(1, 5), beat(2, 5), silent=(1,)), 1, "rank 1"),
        (still(beat(0, 5), beat(2, 5)), 1, "of 3 processes rank 1 never began"),
        (still(beat(0, 5), size=9), 1, "ranks 1, 2, 3, 4 and 4 more never began"),
        (still(beat(0, 2, "loading the model", 0), size=1), 0, "stands before the first step, loading the model"),
    ],
)
def test_who_stands_behind(standstill: Standstill, rank: int | None, words: str) -> None:
    assert standstill.rank == rank
    assert standstill.sentence.startswith("No progress for 30 min: ")
    assert words in standstill.sentence


def test_only_time_in_which_somebody_looked_counts() -> None:
    clock = StillClock(longest_gap=20)
    assert [clock.look(now, "a") for now in (100, 110, 120)] == [0, 10, 20]
    assert clock.look(9000, "a") == 40, "the supervisor was stopped meanwhile, and the processes with it"
    assert clock.look(9010, "b") == 0
    assert clock.look(9020, "b") == 10
    assert clock.look(9030, "a") == 0
